/// The version of the load test: that of the daemon it comes with. A test holds the two together.
public enum LoadTestVersion {
    public static let current = "0.1.0"
}
