"""How many images a second are to be expected: cheap forecasters, their errors, and which of them is believed."""
