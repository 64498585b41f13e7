import Glibc

/// What this test process may do to others.
enum Privileges {
    /// Root in full, with CAP_SETGID, CAP_SETUID and CAP_SYS_ADMIN; containers often have a root without them.
    static let canSwitchUser = geteuid() == 0 && hasCapabilities([6, 7, 21])
    /// It can, and has the program for it.
    static let canStartAsAnotherUser = canSwitchUser && access("/usr/bin/setpriv", X_OK) == 0
    /// An ordinary user, or a root that can become one.
    static let canConfine = geteuid() != 0 || canSwitchUser

    private static func hasCapabilities(_ numbers: [UInt64]) -> Bool {
        guard let file = fopen("/proc/self/status", "r") else { return false }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            guard text.hasPrefix("CapEff:") else { continue }
            let digits = text.dropFirst(7).filter(\.isHexDigit)
            guard let effective = UInt64(digits, radix: 16) else { return false }
            return numbers.allSatisfy { effective >> $0 & 1 == 1 }
        }
        return false
    }
}
