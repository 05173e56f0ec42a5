/// What all programs of this package say of themselves, and where the daemon is when nobody says so.
public enum Product {
    /// Semantic version, as `--version`, `INFO` and the package say it.
    public static let version = "0.1.0"
    /// The folder of the system-wide daemon's socket, and the socket's name in whichever folder it is.
    public static let socketFolder = "/run/tokencached"
    public static let socketName = "tokencached.sock"
    /// The folder of the system-wide daemon's state.
    public static let stateFolder = "/var/lib/tokencached"
    /// How far this host's clock may be from Redis's, ms: past it the log and `doctor` say so.
    public static let tolerableClockSkew: Int64 = 2_000
}
