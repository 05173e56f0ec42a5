import Glibc

extension CommandLine {
    /// The folder of the pages, beside the worker's own.
    public static var pages: String {
        let program = arguments.first ?? ""
        let folder = program.lastIndex(of: "/").map { program[...$0] } ?? ""
        return "\(folder)../pages"
    }
}

/// A line for the web server's error log.
func note(_ text: String) {
    let line = Array("\(text)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}
