"""What a service says about itself over HTTP."""
