// Nothing but the call: closures made in top-level code would belong to the main actor (docs/architecture.md).
Daemon.start()
