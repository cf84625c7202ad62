import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import OrderedCollections

@testable import BillhookCompression

/// The built-in plugins, from the folder of the test binary.
private let catalog = PluginCatalog()

func scorer(_ id: String, _ parameters: [String: ParameterValue] = [:]) throws -> Scorer {
  try catalog.plugin(id, hook: .scorer).makeScorer(parameters, seed: 0)
}

func quantizer(
  _ parameters: [String: ParameterValue] = ["scheme": .string("asymmetric")]
) throws -> Quantizer {
  try catalog.plugin("affine-int8", hook: .quantizer).makeQuantizer(parameters, seed: 0)
}

func loss(_ parameters: [String: ParameterValue] = [:]) throws -> Loss {
  try catalog.plugin("kl-divergence", hook: .loss).makeLoss(parameters, seed: 0)
}

/// Random images `[count, 1, 4, 4]` for the small networks, and a class for each.
func smallImages(_ count: Int, seed: UInt64 = 3) throws -> Dataset {
  let images = Tensor.seeded([count, 1, 4, 4], seed: seed, "images")
  let labels = images.floats().chunks(of: 16).map { image in
    Int32(image[..<8].reduce(0, +) > image[8...].reduce(0, +) ? 0 : 1)
  }
  return try Dataset(name: "images", inputs: ["x": images], labels: labels)
}

extension Array {
  func chunks(of size: Int) -> [[Element]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
  }
}

/// The first output of a graph for one input, by the reference.
func outputs(_ graph: Graph, _ x: Tensor) throws -> [Float] {
  try ReferenceEvaluator.run(graph, ["x": x])["y"]!.floats()
}
