"""Every setting with its unit and its source, the presets, and how options and files become one configuration."""
