"""A feed's rows, one by one: files of any usual format, and which column plays which role."""
