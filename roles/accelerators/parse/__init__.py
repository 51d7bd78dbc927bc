"""What vendors' tools print, as data: pure functions that give a value or say which line they do not understand."""
