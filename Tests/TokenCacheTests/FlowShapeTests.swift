import Testing

@testable import TokenCache

@Suite struct FlowShapeTests {
    @Test func `an event of a flow is small: it is handed over by value with every step`() {
        #expect(MemoryLayout<FlowEvent>.size < 32, "\(MemoryLayout<FlowEvent>.size) bytes")
    }
}
