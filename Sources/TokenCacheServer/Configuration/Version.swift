/// The version of this daemon, as `--version`, `INFO` and the package say it.
public enum Version {
    /// Semantic version.
    public static let current = "0.1.0"
}
