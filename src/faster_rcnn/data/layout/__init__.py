"""Layouts of data sets: the files of folders, names of images, and listings of annotations."""
