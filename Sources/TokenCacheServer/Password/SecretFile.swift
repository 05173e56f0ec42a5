internal import Glibc
internal import Host

/// The file of `redis.password-file`.
enum PasswordFile {
    static let maxBytes = 4_096

    /// Its first line, or why it is not used.
    /// - Parameter isCredential: the service manager sees to who may read it.
    static func read(_ path: String, isCredential: Bool) -> Result<[UInt8], ValueFault> {
        SecretFile.read(path, isCredential: isCredential, maxBytes: maxBytes).map { bytes in
            Array(bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") })
        }
    }
}

/// A file that nobody else may read.
enum SecretFile {
    /// What it begins with, up to `maxBytes`, or why it is not used.
    /// - Parameter isCredential: the service manager sees to who may read it.
    static func read(_ path: String, isCredential: Bool, maxBytes: Int) -> Result<[UInt8], ValueFault> {
        // A pipe would otherwise keep the daemon waiting for somebody who writes.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { return .failure(ValueFault("cannot be read: \(HostFiles.text(errno))")) }
        defer { close(descriptor) }
        do throws(FileFault) { if !isCredential { try FileTrust.judgeSecret(descriptor) } } catch {
            return .failure(ValueFault("is not used: \(error)"))
        }
        var bytes = [UInt8](repeating: 0, count: maxBytes)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { return .failure(ValueFault("cannot be read: \(HostFiles.text(errno))")) }
        return .success(Array(bytes.prefix(count)))
    }
}
