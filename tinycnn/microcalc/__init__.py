"""Floor 7: the application, telling microcalcification clusters from normal breast tissue."""
