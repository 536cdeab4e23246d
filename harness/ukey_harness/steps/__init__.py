"""Chinese step definitions: they see the device only through its port."""
