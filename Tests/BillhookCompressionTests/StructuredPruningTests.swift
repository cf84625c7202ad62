import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Testing

@testable import BillhookCompression

@Suite struct StructuredPruningTests {
  @Test(arguments: [(2, 4), (1, 4), (1, 2), (3, 5)])
  func `of every few neighbouring inputs the largest stay`(kept: Int, group: Int) throws {
    let graph = Graph.smallResidual(width: 8)
    let pattern = try #require(SparsityPattern(kept: kept, group: group))
    let outcome = try prune(
      graph, scorer: scorer("magnitude"), settings: PruneSettings(pattern: pattern, ratio: 0))
    #expect(outcome.record.pattern == "\(kept):\(group)")
    #expect(outcome.record.ratio == pattern.ratio)
    for layer in try graph.weightedLayers() {
      let before = graph.constant(layer.weight)!.floats()
      let after = outcome.graph.constant(layer.weight)!.floats()
      let inner = layer.shape[(layer.inAxis + 1)...].reduce(1, *)
      for output in 0..<layer.shape[0] {
        for column in 0..<inner {
          for first in stride(from: 0, to: layer.shape[1], by: group) {
            let members = (first..<min(first + group, layer.shape[1])).map {
              (output * layer.shape[1] + $0) * inner + column
            }
            let ranking = members.sorted { (abs(before[$0]), $0) < (abs(before[$1]), $1) }
            let gone = Set(ranking.prefix(max(0, members.count - kept)))
            for index in members {
              #expect(after[index] == (gone.contains(index) ? 0 : before[index]))
            }
          }
        }
      }
    }
  }

  @Test func `a pattern is two numbers, the first one smaller`() {
    #expect(SparsityPattern("2:4") == SparsityPattern(kept: 2, group: 4))
    for text in ["4:2", "0:4", "2", "2:4:6", "a:b", "", "1:65", "-1:4", "2:2"] {
      #expect(SparsityPattern(text) == nil)
    }
  }

  /// Elements of each block of a weight with the output channels first, by block.
  private func blocks(_ shape: [Int], _ block: BlockShape) -> [[Int]] {
    let width = shape.dropFirst().reduce(1, *)
    let columns = (width + block.inputs - 1) / block.inputs
    let rows = (shape[0] + block.outputs - 1) / block.outputs
    var result = [[Int]](repeating: [], count: rows * columns)
    for element in 0..<shape[0] * width {
      let (output, input) = (element / width, element % width)
      result[output / block.outputs * columns + input / block.inputs].append(element)
    }
    return result
  }

  @Test func `a ratio that takes no block is an error`() throws {
    var sentence = ""
    do {
      _ = try prune(
        Graph.smallResidual(width: 8), scorer: scorer("magnitude"),
        settings: PruneSettings(
          granularity: .block, block: BlockShape(outputs: 100, inputs: 100), ratio: 0.5,
          scope: .layer))
    } catch { sentence = "\(error)" }
    #expect(
      sentence
        == "Nothing was pruned: the ratio 0.5 takes none of the 1 blocks that are ranked together. "
        + "Choose a larger ratio.")
  }

  @Test(arguments: [(4, 1), (1, 4), (2, 3), (3, 5)])
  func `the blocks with the lowest mean go as a whole`(outputs: Int, inputs: Int) throws {
    let graph = Graph.smallResidual(width: 8)
    let block = BlockShape(outputs: outputs, inputs: inputs)
    let outcome = try prune(
      graph, scorer: scorer("magnitude"),
      settings: PruneSettings(granularity: .block, block: block, ratio: 0.5, scope: .layer))
    #expect(outcome.record.block == block)
    var units = 0
    for layer in try graph.weightedLayers() {
      let before = graph.constant(layer.weight)!.floats()
      let after = outcome.graph.constant(layer.weight)!.floats()
      let members = blocks(layer.shape, block)
      units += members.count
      let scores = members.map { block in
        Float(block.reduce(0) { $0 + Double(abs(before[$1])) } / Double(block.count))
      }
      let wanted = ElementPruning.selectedCount(ratio: 0.5, elements: members.count)
      let ranking = scores.indices.sorted { (scores[$0], $0) < (scores[$1], $1) }
      let gone = Set(ranking.prefix(wanted))
      for (index, block) in members.enumerated() {
        for element in block {
          #expect(after[element] == (gone.contains(index) ? 0 : before[element]))
        }
      }
    }
    #expect(outcome.record.prunable == units)
  }

  @Test func `a scorer of blocks is asked for blocks, also smaller ones at the end`() throws {
    let plugin = try contract("block", .scorer)
    let graph = Graph.smallResidual(width: 5)
    let block = BlockShape(outputs: 2, inputs: 4)
    let layer = try graph.weightedLayers()[1]
    let weight = graph.constant(layer.weight)!
    let scores = try #require(
      try plugin.makeScorer().score(
        layer.context(0), granularity: .block, block: block, weight: weight))
    #expect(scores.shape == [3, 12])
    let values = weight.floats()
    #expect(
      scores.floats()
        == blocks(layer.shape, block).map {
          (values[$0[0]] < 0 ? -1 : 1) * Float($0.count)
        })
    let outcome = try prune(
      graph, scorer: plugin.makeScorer(),
      settings: PruneSettings(granularity: .block, block: block, ratio: 0.3, scope: .layer))
    #expect(outcome.record.granularity == "block")
  }

  @Test func `blocks keep to a pattern too`() throws {
    let graph = Graph.smallResidual(width: 8)
    let block = BlockShape(outputs: 2, inputs: 3)
    let outcome = try prune(
      graph, scorer: scorer("magnitude"),
      settings: PruneSettings(
        granularity: .block, block: block, pattern: SparsityPattern("1:2"), ratio: 0))
    let layer = try graph.weightedLayers()[1]
    let after = outcome.graph.constant(layer.weight)!.floats()
    let members = blocks(layer.shape, block)
    let isGone = members.map { $0.allSatisfy { after[$0] == 0 } }
    let columns = members.count / 4
    for row in 0..<4 {
      for pair in 0..<columns / 2 {
        let first = row * columns + 2 * pair
        #expect(isGone[first] != isGone[first + 1])
      }
    }
  }

  @Test func `settings that do not fit together are refused`() {
    func sentence(_ settings: PruneSettings) -> String? {
      do {
        try settings.check()
        return nil
      } catch { return error.description }
    }
    #expect(sentence(PruneSettings(granularity: .block, ratio: 0.5))?.contains("block") == true)
    #expect(
      sentence(PruneSettings(block: BlockShape(outputs: 1, inputs: 4), ratio: 0.5)) != nil)
    #expect(
      sentence(
        PruneSettings(granularity: .channel, pattern: SparsityPattern("2:4"), ratio: 0.5)) != nil)
  }
}

/// A plugin of Tests/Fixtures/contract.c.
func contract(_ name: String, _ hook: PluginDescriptor.Hook) throws -> Plugin {
  let path = try compiledPlugin("Tests/Fixtures/contract.c")
  return try PluginCatalog(folders: []).plugin("\(path)#org.example.contract.\(name)", hook: hook)
}
