import Engines
import FunctionProtocol

/// Finds out how well this machine confines functions, by starting the process that runs them.
enum SandboxProbe {
    /// A function that does nothing.
    private static let program = "export function map(_, value, emit) {}"

    /// Starts a process, and ends it; blocks its thread for some hundredths of a second.
    static func run() -> SandboxState {
        let preparation = Preparation(
            engine: .javaScript,
            roles: .map,
            name: "probe",
            program: Array(program.utf8)
        )
        do {
            return .tried(missing: try FunctionProcess(.javaScript).prepare(preparation).missing)
        } catch let fault as FunctionFault {
            return .unavailable(fault.message)
        } catch FunctionProcess.Fault.function(let fault) {
            return .unavailable(fault.message)
        } catch {
            return .unavailable("\(error)")
        }
    }
}
