"""Which files a folder of images holds, how they are named, and what a format lists."""
