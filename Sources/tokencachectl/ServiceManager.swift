import Glibc

/// Who looks after the daemon of this host, for what people are told to do next.
enum ServiceManager {
    case systemd
    /// Nobody that is known: started by hand, or in a container.
    case none

    /// As sd_booted(3) sees it.
    static let current: ServiceManager = access("/run/systemd/system", F_OK) == 0 ? .systemd : .none

    /// Where the daemon's log is, with `words` in it.
    func log(of words: String? = nil) -> String {
        switch self {
        case .systemd: "journalctl -u tokencached" + (words.map { " | grep \($0)" } ?? "")
        case .none:
            (words.map { "look for \($0) in what the daemon writes" } ?? "what the daemon writes")
                + " to its standard error"
        }
    }

    /// How to see whether it runs.
    var status: String {
        switch self {
        case .systemd: "`systemctl status tokencached`"
        case .none: "`pgrep -a tokencached`"
        }
    }

    /// How to start it anew.
    var restart: String {
        switch self {
        case .systemd: "`systemctl restart tokencached`"
        case .none: "end it with SIGTERM and start it again"
        }
    }
}
