"""The tasks of `item evaluate`: what each computes, prints and writes."""
