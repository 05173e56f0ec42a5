internal import Glibc

/// Descriptors 0, 1 and 2.
public enum StandardDescriptors {
    /// Opens `/dev/null` on each of them that is closed. Otherwise the next socket or file gets the number, and what is
    /// written to standard error goes to a client, or into the data of Redis.
    ///
    /// Called first of all, before anything is opened.
    /// - Returns: false where that cannot be done; nothing may be opened then.
    public static func fill() -> Bool {
        while true {
            // The lowest number that is free; inherited by children, as all three are.
            let descriptor = open("/dev/null", O_RDWR)
            if descriptor < 0, errno == EINTR { continue }
            guard descriptor >= 0 else { return false }
            if descriptor > STDERR_FILENO {
                close(descriptor)
                return true
            }
        }
    }
}
