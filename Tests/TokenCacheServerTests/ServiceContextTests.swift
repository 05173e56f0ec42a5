import Testing

@testable import TokenCacheServer

@Suite("What systemd hands over, and what it is told")
struct ServiceContextTests {
    private func context(_ environment: [String: String]) -> ServiceContext {
        ServiceContext(environment: environment, processID: 42)
    }

    @Test("notices are the lines of sd_notify(3)")
    func notices() {
        #expect(ServiceNotice.ready.text == "READY=1\n")
        #expect(ServiceNotice.stopping.text == "STOPPING=1\n")
        #expect(ServiceNotice.watchdog.text == "WATCHDOG=1\n")
        #expect(
            ServiceNotice.reloading(monotonicMicroseconds: 1_234_567).text == "RELOADING=1\nMONOTONIC_USEC=1234567\n")
        #expect(ServiceNotice.status("serves\nREADY=1").text == "STATUS=serves\\nREADY=1\n", "one statement, not two")
    }

    @Test("a reload is dated by the clock that only goes while the machine is awake, now")
    func clock() {
        guard case .reloading(let first) = ServiceNotice.reloadingNow(),
            case .reloading(let second) = ServiceNotice.reloadingNow()
        else { return #expect(Bool(false)) }
        #expect(first > 0 && first <= second && second - first < 60_000_000)
    }

    @Test("sockets named http are HTTP's, any other is the workers', of which there is one")
    func http() throws {
        let passed = context(["LISTEN_PID": "42", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "http:resp:http"])
        #expect(passed.httpSockets.map(\.descriptor) == [3, 5])
        let two = context(["LISTEN_PID": "42", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "http:resp:other"])
        #expect(throws: StartError.self) { try two.socket() }
        #expect(context(["LISTEN_PID": "42", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"]).httpSockets.count == 1)
    }

    @Test("an HTTP date")
    func date() {
        #expect(
            String(decoding: HTTPListener.dateText(of: 784_111_777), as: UTF8.self) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(
            String(decoding: HTTPListener.dateText(of: 1_795_805_233), as: UTF8.self) == "Fri, 27 Nov 2026 18:47:13 GMT"
        )
    }

    @Test("nothing is there where systemd is not")
    func nothing() throws {
        let none = context([:])
        #expect(none.notifier.address == nil && none.watchdogLimit == nil && none.sockets.isEmpty)
        #expect(try none.socket() == nil)
        #expect(context(["NOTIFY_SOCKET": ""]).notifier.address == nil)
        #expect(context(["NOTIFY_SOCKET": "@x"]).notifier.address == "@x")
    }

    @Test(
        "the watchdog is this process's or nobody's, and a time or nothing",
        arguments: [
            (["WATCHDOG_USEC": "10000000"], Duration.seconds(10)),
            (["WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "42"], .seconds(10)),
            (["WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "43"], nil),
            (["WATCHDOG_USEC": "10000000", "WATCHDOG_PID": ""], nil),
            (["WATCHDOG_USEC": "0"], nil), (["WATCHDOG_USEC": "-1"], nil), (["WATCHDOG_USEC": "soon"], nil),
            (["WATCHDOG_PID": "42"], nil),
        ] as [([String: String], Duration?)])
    func watchdog(_ environment: [String: String], _ limit: Duration?) {
        #expect(context(environment).watchdogLimit == limit)
    }

    @Test(
        "sockets are this process's or nobody's, from descriptor 3 on, with their names",
        arguments: [
            (["LISTEN_PID": "42", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "resp"], ["3 resp"]),
            (["LISTEN_PID": "42", "LISTEN_FDS": "1"], ["3 unknown"]),
            (["LISTEN_PID": "42", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a::b:c"], ["3 a", "4 ", "5 b"]),
            (["LISTEN_PID": "43", "LISTEN_FDS": "1"], []), (["LISTEN_FDS": "1"], []),
            (["LISTEN_PID": "42", "LISTEN_FDS": "0"], []), (["LISTEN_PID": "42", "LISTEN_FDS": "-1"], []),
            (["LISTEN_PID": "42", "LISTEN_FDS": "2147483647"], []), (["LISTEN_PID": "42", "LISTEN_FDS": "x"], []),
        ] as [([String: String], [String])])
    func sockets(_ environment: [String: String], _ expected: [String]) {
        #expect(context(environment).sockets.map { "\($0.descriptor) \($0.name)" } == expected)
    }

    @Test("two sockets are one too many: status 78, and their names")
    func tooMany() {
        let two = context(["LISTEN_PID": "42", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "resp:web"])
        #expect { try two.socket() } throws: { error in
            guard let error = error as? StartError else { return false }
            return error.exitStatus == 78 && error.description.contains("resp, web")
        }
    }
}
