import Testing

@testable import BillhookCompression

@Suite struct LayerFilterTests {
  @Test(arguments: [
    ("conv*", "conv1", true), ("conv*", "fc", false), ("*", "", true), ("a?c", "abc", true),
    ("a?c", "ac", false), ("*1*2*", "x1y2z", true), ("*1*2*", "x2y1z", false), ("", "", true),
    ("", "a", false), ("**a", "aaa", true), ("layer1.*.conv", "layer1.0.bn.conv", true),
    ("a.c", "abc", false),
  ])
  func `a pattern matches whole names`(pattern: String, name: String, matches: Bool) {
    #expect(LayerFilter.matches(pattern, name) == matches)
  }

  @Test func `exclusion wins over inclusion`() throws {
    let filter = LayerFilter(include: ["conv*"], exclude: ["conv1"])
    #expect(try filter.select(["conv1", "conv2", "fc"]) == [false, true, false])
  }

  @Test func `a pattern that matches nothing is an error with the names`() {
    #expect { try LayerFilter(include: ["cnov*"]).select(["conv1", "fc"]) } throws: {
      "\($0)" == "The pattern \"cnov*\" matches no layer. Layers: \"conv1\", \"fc\"."
    }
  }

  @Test func `filters that leave nothing are an error`() {
    #expect { try LayerFilter(include: ["fc"], exclude: ["*"]).select(["conv1", "fc"]) } throws: {
      "\($0)"
        == "No layer is left: include \"fc\", exclude \"*\". Layers: \"conv1\", \"fc\"."
    }
  }
}
