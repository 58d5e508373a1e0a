"""What every link to a node has in common, whatever carries its messages."""
