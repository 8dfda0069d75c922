"""`python -m item_embed.cli`, the same as `item`: for `torchrun -m`."""

from item_embed.cli.main import main

main()
