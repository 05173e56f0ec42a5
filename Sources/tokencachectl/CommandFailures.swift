import TokenCacheClient

extension Failure {
    /// What a failed call means to the person or script that made it.
    init(_ error: TokenCacheError, socketPath: String) {
        switch error {
        case .unavailable(let reason):
            self.init(
                status: .noAnswer,
                message:
                    "UNAVAILABLE: \(reason): nobody knows the answer now; `tokencachectl doctor` says what is wrong")
        case .overloaded(let reason):
            self.init(
                status: .noAnswer,
                message: "OVERLOADED: \(reason): try again in a moment; `tokencachectl status` shows the load")
        case .notPermitted(let reason):
            self.init(
                status: .notPermitted,
                message: "NOPERM: \(reason): the daemon's configuration gives roles to users and groups under `access`")
        case .noKeys:
            self.init(
                status: .other,
                message: "NOKEYS: the daemon has no key ring, and this command needs one: "
                    + "its log says which file is missing")
        case .badArgument(let reason):
            self.init(status: .other, message: "the daemon refuses the command: \(reason)")
        case .connection(let reason):
            self.init(
                status: .noAnswer,
                message: "no answer from \(Layout.printable(socketPath)): \(reason): "
                    + "look at its log, or allow more time with --timeout")
        case .protocolViolation:
            self.init(
                status: .other,
                message: "\(Layout.printable(socketPath)) does not answer as tokencached does: is this its socket?")
        }
    }

    /// A connection that could not be made: the obstacle on the way, else the system's reason.
    static func cannotConnect(to path: String, because error: TokenCacheError) -> Failure {
        let cause = connectionProblem(to: path, because: error)
        return Failure(
            status: .noAnswer, message: "cannot connect to \(Layout.printable(path)): \(cause.problem): \(cause.remedy)"
        )
    }

    /// What is wrong and what to do.
    static func connectionProblem(
        to path: String, because error: TokenCacheError
    ) -> (problem: String, remedy: String) {
        let account = Account.current()
        if let obstacle = SocketRights.firstObstacle(to: path, for: account, facts: FileFacts.read) {
            return (obstacle.problem(for: account), obstacle.remedy(for: account))
        }
        let reason = if case .connection(let reason) = error { reason } else { error.description }
        return (reason, "is the daemon running? \(ServiceManager.current.status)")
    }
}
