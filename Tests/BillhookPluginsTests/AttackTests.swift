import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import Glibc
import Synchronization
import Testing

/// What a plugin in a worker tries against the host, the user's files and the machine.
@Suite(.serialized) struct AttackTests {
  static let weight = Tensor([1, -2, 3, -4] as [Float], shape: [2, 2])

  @Test(arguments: [
    "chmod", "chown", "touch", "raise-limit", "death-signal", "shared", "thaw",
  ])
  func `rights, limits and memory are out of reach`(mode: String) throws {
    let scorer = try crashing(mode, separateSettings())
    let scores = try scorer.score(layer(), granularity: .element, weight: Self.weight)
    #expect(scores?.elements(of: Float.self) == [1, 2, 3, 4])
  }

  @Test(arguments: ["attach", "peek"])
  func `a look into the host ends the worker`(mode: String) throws {
    let scorer = try crashing(mode, separateSettings())
    #expect(
      sentence { _ = try scorer.score(layer(), granularity: .element, weight: Self.weight) } == """
        Plugin "org.example.crashing" crashed in "score" on layer "conv": it made a system call that \
        a worker may not make (SIGSYS). This process and all finished work are unharmed.
        """)
  }

  @Test func `closed descriptors harm the worker alone`() throws {
    let scorer = try crashing("close", separateSettings())
    let scores = try scorer.score(layer(), granularity: .element, weight: Self.weight)
    #expect(scores?.elements(of: Float.self) == [1, 2, 3, 4])
  }

  @Test func `of a flood of log lines the first ten thousand are heard`() throws {
    let heard = Mutex(0)
    let last = Mutex("")
    let observer = PluginObserver(log: { _, _, text in
      heard.withLock { $0 += 1 }
      last.withLock { $0 = text }
    })
    let scorer = try crashing("flood", separateSettings(), observer: observer)
    let scores = try scorer.score(layer(), granularity: .element, weight: Self.weight)
    #expect(scores != nil)
    #expect(heard.withLock { $0 } == 10_001)
    #expect(last.withLock { $0 } == "It logged 10000 lines; the others are left out.")
  }

  @Test func `what it prints does not stop it, and does not reach the host's output`() throws {
    let scorer = try crashing("print", separateSettings())
    let scores = try scorer.score(layer(), granularity: .element, weight: Self.weight)
    #expect(scores?.elements(of: Float.self) == [1, 2, 3, 4])
  }

  @Test
  func `a thread that goes on writing into an output gives scores that are finite, or an error`()
    throws
  {
    let scorer = try crashing("threads", separateSettings())
    for _ in 0..<200 {
      var scores: [Float] = [.nan]
      let refusal: String = sentence {
        let found = try scorer.score(layer(), granularity: .element, weight: Self.weight)
        scores = found?.elements(of: Float.self) ?? [.nan]
      }
      let isFinite = scores.allSatisfy { $0.isFinite }
      #expect(
        isFinite || refusal.contains("score 0 is nan but must be written and finite"),
        "\(refusal)")
    }
  }

  @Test func `a worker that stops itself is killed when its time is over`() throws {
    var settings = try separateSettings()
    settings.limits.callSeconds = 0.3
    settings.limits.graceSeconds = 0.2
    let scorer = try crashing("stop", settings)
    #expect(
      sentence { _ = try scorer.score(layer(), granularity: .element, weight: Self.weight) } == """
        Plugin "org.example.crashing" did not return from "score" on layer "conv" within 0.3 \
        seconds and was stopped. This process and all finished work are unharmed.
        """)
  }

  @Test func `workers leave no process and no descriptor behind`() throws {
    func descriptors() throws -> Int {
      try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }
    func once() throws {
      let scorer = try crashing("good", separateSettings())
      _ = try scorer.score(layer(), granularity: .element, weight: Self.weight)
    }
    try once()
    let before = try descriptors()
    for _ in 0..<5 { try once() }
    // Workers end on threads of their own.
    for _ in 0..<100 where try descriptors() > before { usleep(50_000) }
    let after = try descriptors()
    #expect(after <= before)
  }
}
