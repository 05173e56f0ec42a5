extension Report {
    public func html() -> String { "" }
    public func writeDocs(to folder: String) throws(LoadTestError) {}
}
