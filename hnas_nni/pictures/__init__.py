"""Pictures, and reading and writing their files: by libvips, and by Pillow what that does not know."""
