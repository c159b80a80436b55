"""The REST API: assembles what the modules registered with `base.apikit`, and describes it."""
