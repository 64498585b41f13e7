// Runs the functions of one job: docs/protocols/functions.md.
Sandbox.run(arguments: CommandLine.arguments)
