"""Which answer on a line belongs to which question. No I/O."""
