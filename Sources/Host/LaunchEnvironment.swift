internal import Glibc

/// The environment of this process.
public enum LaunchEnvironment {
    /// Name → value; of a name that stands there twice the first, as getenv(3) takes it. Bytes that are not UTF-8 are replaced.
    /// To be asked by the first thread, before others exist: setenv(3) moves what is read here.
    public static func read() -> [String: String] {
        var variables: [String: String] = [:]
        // A library that has called clearenv(3) by then leaves none.
        let start: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = environ
        guard var next = start else { return [:] }
        while let entry = next.pointee {
            let words = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if words.count == 2, variables[String(words[0])] == nil { variables[String(words[0])] = String(words[1]) }
            next += 1
        }
        return variables
    }
}
