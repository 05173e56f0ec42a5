internal import TokenCache
internal import Tokens

extension Figure {
    static let tokens: [Figure] = [
        .counter(.tokens, "tokens_issued", "sessions made by ISSUE") { $0.tokens.issued },
        .counter(.tokens, "tokens_logins", "LOGINs") { $0.tokens.logins },
        .counter(.tokens, "tokens_validated_valid", "VALIDATE and VISIT of a good token") { $0.tokens.valid },
        .counter(.tokens, "tokens_validated_rotated", "the same with a successor") { $0.tokens.rotated },
        .counter(.tokens, "tokens_validated_unknown", "no session is known of the token") { $0.tokens.unknown },
        .counter(.tokens, "tokens_validated_replayed", "a retired token") { $0.tokens.replayed },
        .counter(.tokens, "tokens_validated_revoked", "its session was ended") { $0.tokens.revoked },
        .counter(.tokens, "tokens_validated_expired", "its time was up") { $0.tokens.expired },
        .counter(.tokens, "tokens_validated_mismatch", "from another network or browser") { $0.tokens.mismatch },
        .counter(.tokens, "tokens_validated_anonymous", "good, and REQUIRE asked for a subject") {
            $0.tokens.anonymous
        },
        .counter(.tokens, "tokens_validated_reauthenticate", "good, and REQUIRE asked for a later login") {
            $0.tokens.reauthenticate
        },
        .counter(.tokens, "rotations", "rotations that this daemon wrote") { $0.tokens.rotations },
        .counter(.tokens, "forced_rotations", "of them, by ROTATE and LOGIN") { $0.tokens.forcedRotations },
        .counter(.tokens, "confirmations", "successors that were used for the first time") { $0.tokens.confirmations },
        .counter(.tokens, "recoveries", "lost successors that were told again") { $0.tokens.recoveries },
        .counter(.tokens, "replays", "`tokens_validated_replayed`") { $0.tokens.replayed }.forInfoOnly,
        .counter(.tokens, "touches", "accesses that were written down") { $0.tokens.touches },
        .counter(.tokens, "sessions_ended", "sessions that this daemon ended") {
            $0.tokens.ended.values.reduce(0, &+)
        }.forInfoOnly,
        .counter(.tokens, "sessions_ended_by_logout", "of them, by REVOKE") { $0.tokens.ended[.logout] ?? 0 },
        .counter(.tokens, "sessions_ended_by_logout_all", "by REVOKEALL") { $0.tokens.ended[.logoutAll] ?? 0 },
        .counter(.tokens, "sessions_ended_by_login", "by LOGIN of another subject") { $0.tokens.ended[.login] ?? 0 },
        .counter(.tokens, "sessions_ended_by_replay", "because a retired token came back") {
            $0.tokens.ended[.replay] ?? 0
        },
        .counter(.tokens, "sessions_ended_by_limit", "because their subject has too many") {
            $0.tokens.ended[.limit] ?? 0
        },
        .counter(.tokens, "sessions_ended_by_admin", "by an admin") { $0.tokens.ended[.admin] ?? 0 },
        .counter(.tokens, "logins_refused_by_limit", "ISSUE and LOGIN of a subject that has as many as it may") {
            $0.tokens.refusedByLimit
        },
        .counter(.tokens, "index_removals", "members without a session that left a subject's index here") {
            $0.tokens.indexRemovals
        },
        .counter(.tokens, "changes_overtaken", "changes that another came before; decided again") {
            $0.tokens.overtaken
        },
        .gauge(.tokens, "subscriptions", "sessions that connections are subscribed to, told or not") {
            $0.server.sessions.values.reduce(0) { $0 + (($1 as? RESPSession)?.subscriptions.count ?? 0) }
        },
        .gauge(.tokens, "sessions_watched", "of them, each session once, those whose end is still to be told") {
            $0.dispatcher.service.watch.count
        },
        .counter(.tokens, "subscribers_told", "messages that a session ended, or has a new token by force") {
            $0.dispatcher.service.watch.told
        },
        .gauge(
            .tokens, "acknowledged_writes",
            """
            ends, LOGINs and ROTATEs kept for a failover: of the last minute in which every server answered, 65,536 at \
            most
            """
        ) { $0.dispatcher.service.acknowledgedWrites.count },
        .gauge(.tokens, "acknowledged_writes_bytes", "data that they hold, 64 MiB at most", .bytes) {
            $0.dispatcher.service.acknowledgedWrites.bytes
        },
        .counter(
            .tokens, "acknowledged_writes_dropped",
            "of them, those that made room for later ones before their time was over: a failover may lose them"
        ) { $0.dispatcher.service.acknowledgedWrites.dropped },
        .counter(.tokens, "unavailable_answers", "answers that were UNAVAILABLE") { $0.tokens.unavailable },
    ]

    /// Of all sessions and all subjects.
    static let everySession: [Figure] = [
        .gauge(
            .tokens, "everyone_ended_at", "the moment of the last REVOKEEVERYONE that is known, Unix ms; 0: none is",
            .milliseconds
        ) { $0.tokens.everyoneEndedAt },
        .gauge(.tokens, "sessions_swept", "sessions that the last REVOKEEVERYONE asked here has ended by now") {
            $0.tokens.swept
        },
        .flag(.tokens, "janitor_walking", "1: this daemon is on a round over the indexes of all subjects") {
            $0.dispatcher.environment.janitor().isWalking
        },
        .counter(.tokens, "janitor_rounds", "rounds that this daemon has ended") {
            $0.dispatcher.environment.janitor().rounds
        },
        .counter(.tokens, "janitor_indexes", "indexes of subjects that it walked over") {
            $0.dispatcher.environment.janitor().indexes
        },
        .counter(.tokens, "janitor_members", "members of them that it read") {
            $0.dispatcher.environment.janitor().members
        },
    ]

    /// What is stored nowhere.
    static let stateless: [Figure] = [
        .counter(.tokens, "guests_issued", "guest tokens that were made") { $0.tokens.guestsIssued },
        .counter(.tokens, "guests_looked_up", "Redis was asked whether a guest is a session now") {
            $0.tokens.guestsLookedUp
        },
        .counter(.tokens, "guests_validated", "guest tokens that were good") { $0.tokens.guestsValid },
        .counter(.tokens, "guests_renewed", "guest tokens that were replaced by newer ones") {
            $0.tokens.guestsRenewed
        },
        .counter(.tokens, "guests_page_only", "guests without a token of their own") { $0.tokens.pageGuests },
        .counter(.tokens, "data_conflicts", "SETs whose `IF` did not hold") { $0.tokens.conflicts },
        .counter(.tokens, "guests_promoted", "guests that became sessions here") { $0.tokens.guestsPromoted },
        .counter(.tokens, "csrf_issued", "CSRF tokens that were made") { $0.tokens.csrfIssued },
        .counter(.tokens, "csrf_passed", "forms that were genuine") { $0.tokens.csrfPassed },
        .counter(.tokens, "csrf_failed", "forms that were not, or too old") { $0.tokens.csrfFailed },
        .counter(.tokens, "csrf_outdated", "forms from before a login") { $0.tokens.csrfOutdated },
        .counter(.tokens, "captchas_issued", "captchas that were made") { $0.tokens.captchasIssued },
        .counter(.tokens, "captchas_passed", "captchas that were solved") { $0.tokens.captchasPassed },
        .counter(.tokens, "captchas_failed", "wrong, late, or for another form, holder or client") {
            $0.tokens.captchasFailed
        },
        .counter(.tokens, "captchas_spent", "second attempts") { $0.tokens.captchasSpent },
        .text(.tokens, "keyring_fingerprint", "the key ring's, the same on every host; empty without one") {
            $0.dispatcher.service.keyFingerprint
        },
    ]
}
