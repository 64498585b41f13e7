// Nothing but the call: closures made in top-level code, or in a type marked `@main`, would belong to the main actor,
// whose thread waits for signals.
Peerctl.start()
