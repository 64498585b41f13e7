/// What another attempt could change about a fault.
enum FaultScope {
    /// Nothing: the same bytes give the same fault everywhere.
    case input
    /// Another worker may have what this one lacks.
    case worker
    /// Time or another worker may help.
    case attempt
    /// Hardly anything: it is tried once more, elsewhere if there is another worker.
    case function
}

extension TaskFault {
    /// How far this fault reaches, where `hasDeterministicFunctions` says that functions fail on a record always or never.
    func scope(hasDeterministicFunctions: Bool) -> FaultScope {
        switch self {
        case .recordTooLong, .argument, .malformedInput, .malformedValue: .input
        case .function: hasDeterministicFunctions ? .input : .attempt
        case .userFunction(let failure):
            switch failure.kind {
            case .invalid: .input
            case .threw, .wrongOutput, .limit: .function
            case .sandbox: .worker
            // A process also dies of what the machine did to it, such as the kernel that found no memory.
            case .crashed: .attempt
            }
        case .blockUnavailable: .worker
        case .mapOutputUnavailable, .malformedMapOutput, .store, .cancelled: .attempt
        }
    }
}
