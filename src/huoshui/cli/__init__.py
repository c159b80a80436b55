"""The command line: `huoshui COMMAND`. Commands read arguments and files and print; the work is done below."""
