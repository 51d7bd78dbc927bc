"""The nodes' host keys: asked for, shown, and kept where SSH looks for them."""
