import BillhookFormats
import BillhookPipeline
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct RecipeCheckTests {
  private let folder = TemporaryFolder()

  /// Eight images of 8×8 with labels, and the same without.
  private func writeData() throws {
    let images = Tensor((0..<512).map { UInt8(truncatingIfNeeded: $0 &* 37) }, shape: [8, 8, 8])
    let labels = Tensor((0..<8).map { Int64($0 % 3) })
    try NumpyArchive.write(["input": images, "labels": labels], to: folder("data.npz"))
    try NumpyArchive.write(["input": images], to: folder("plain.npz"))
  }

  private func sentence(data: String = "data", _ stages: String) throws -> String {
    try writeData()
    let text = """
      version: 1
      model: {new: {architecture: cnn, width: 4, image: 8, classes: 3}}
      data: {train: "npz:\(folder(data)).npz"}
      output: \(folder("out"))
      stages:
      \(stages)
      """
    let file = try RecipeFile(yaml: text, name: "r")
    do {
      try RecipeRunner(file, catalog: PluginCatalog()).check()
      return "no error"
    } catch {
      return "\(error)".replacing("The recipe \"r\" cannot be used. Line 6, ", with: "")
    }
  }

  @Test func `a recipe whose parts fit has no problem`() throws {
    #expect(
      try sentence("- train: {batch_size: 4}\n- prune: {granularity: channel, ratio: 0.5}")
        == "no error")
  }

  @Test(arguments: [
    (
      "- train: {batch_size: 4, save: trained.safetensors}",
      """
      "stages.0.train.save": The name "trained.safetensors" is that of a checkpoint, but the stage's \
      result is a network; choose one that ends in .onnx. Only quantize with mode weight-only stores \
      weights alone.
      """
    ),
    (
      "- distill: {batch_size: 4, augmentation: {shift: 1}}",
      """
      "stages.0.distill.augmentation": The teacher is recorded, so it must know which changed \
      images will come: set views to how many changed versions of each image to record, such as \
      views: 8.
      """
    ),
    (
      "- train: {batch_size: 4, augmentation: {views: 2}}",
      """
      "stages.0.train.augmentation": Nothing is changed: set shift above 0, or flip: true.
      """
    ),
    (
      "- train: {batch_size: 9}",
      """
      "stages.0.train.batch_size": A batch of 9 is more than the 8 samples of "npz:DATA". \
      Set batch_size to at most 8 (on the command line --batch-size), or name more data.
      """
    ),
    (
      "- prune: {granularity: element, ratio: 0.5, exclude: [fc9]}",
      """
      "stages.0.prune": The pattern "fc9" matches no layer. Layers: conv1, conv2, fc1, fc2.
      """
    ),
    (
      "- prune: {granularity: element, ratio: 0.5, round_to: 4}",
      """
      "stages.0.prune.round_to": Numbers of channels can be rounded, numbers of elements cannot.
      """
    ),
    (
      "- prune: {granularity: element, ratio: 0.5, include: [fc1], exclude: [fc*]}",
      """
      "stages.0.prune": No layer is left: include "fc1", exclude "fc*". Layers: "conv1", "conv2", \
      "fc1", "fc2".
      """
    ),
    (
      "- train: {batch_size: 4, network_output: logit}",
      """
      "stages.0.train.network_output": The network has no output "logit". Outputs: "logits".
      """
    ),
    (
      "- evaluate",
      "\"stages.0.evaluate\": There is nothing to evaluate on: set data.test."
    ),
    (
      "- distill: {batch_size: 4, teacher: nowhere.onnx}",
      """
      "stages.0.distill.teacher": Cannot read "nowhere.onnx": No such file or directory. Check the \
      path and its permissions.
      """
    ),
  ])
  func `what does not fit is said before any work`(stages: String, expected: String) throws {
    let found = try sentence(stages)
    #expect(found == expected.replacing("npz:DATA", with: "npz:\(folder("data.npz"))"))
  }

  @Test(arguments: [
    (
      "- prune: {scorer: activation.wanda, granularity: element, ratio: 0.5, scope: global}",
      """
      "stages.1.prune": The scores of "org.billhook.activation.wanda" cannot be compared across \
      layers, which a global ranking needs; choose the scope "layer".
      """
    ),
    (
      "- prune: {granularity: channel, ratio: 0.5, include: [fc2]}",
      """
      "stages.1.prune": No channel can be removed. "conv1": none of its layers is included; \
      "conv2": none of its layers is included; "fc1": none of its layers is included; "fc2": its \
      channels are the graph output "logits". Prune by element, or choose other layers.
      """
    ),
    (
      "- quantize: {include: [conv1]}",
      """
      "stages.1.quantize": No layer was quantized. "conv1": it sums 9 products an output, fewer \
      than min_reduction 32: integers would be slower; "conv2": it was not chosen; "fc1": it was \
      not chosen; "fc2": it was not chosen.
      """
    ),
  ])
  func `a stage that would find nothing to do is found before the first`(
    stage: String, expected: String
  ) throws {
    #expect(
      try sentence("- train: {batch_size: 4}\n\(stage)").replacing("Line 7, ", with: "")
        .hasSuffix(expected))
  }

  @Test func `unlabelled data cannot train`() throws {
    #expect(
      try sentence(data: "plain", "- train: {batch_size: 4}") == """
        "stages.0.train": The training data "npz:\(folder("plain.npz"))" has no labels, which train \
        needs. Use distill.
        """)
  }

  @Test func `a loss whose parameters need labels is found by a trial`() throws {
    let wrong = "- distill: {batch_size: 4, parameters: {alpha: 0.5}}"
    let right = "- distill: {batch_size: 4, parameters: {alpha: 0}}"
    #expect(
      try sentence(data: "plain", wrong) == """
        "stages.0.distill.parameters": Plugin "org.billhook.kl-divergence" failed in "compute": \
        the data has no labels, but alpha is 0.5; give labels, or set alpha to 0 (status -1).
        """)
    #expect(try sentence(data: "plain", right) == "no error")
    #expect(try sentence(wrong) == "no error")
  }

  @Test func `labels are checked only where they are used`() throws {
    let images = Tensor((0..<512).map { UInt8(truncatingIfNeeded: $0 &* 37) }, shape: [8, 8, 8])
    let labels = Tensor((0..<8).map { Int64($0) })
    try NumpyArchive.write(["input": images, "labels": labels], to: folder("many.npz"))
    let element = "- prune: {granularity: element, ratio: 0.5}"
    #expect(try sentence(data: "many", element) == "no error")
    #expect(
      try sentence(data: "many", "- train: {batch_size: 4}").contains(
        "Sample 3 of the data \"npz:\(folder("many.npz"))\" has the label 3"))
  }

  @Test func `nothing comes after quantize`() throws {
    let found = try sentence("- quantize: {}\n- prune: {granularity: channel, ratio: 0.5}")
    #expect(
      found == """
        The recipe "r" cannot be used. Line 7, "stages.1": "prune" comes after "quantize" (stage \
        0), but integers can neither be trained, pruned nor quantized again. Put quantize last.
        """)
  }

  @Test func `an unknown plugin and a wrong parameter are found together`() throws {
    let found = try sentence(
      """
      - prune: {granularity: element, ratio: 0.5, scorer: magnitud}
      - prune: {granularity: element, ratio: 0.5, parameters: {exponen: 2}}
      """)
    #expect(found.contains("line 6, \"stages.0.prune.scorer\": "))
    #expect(found.contains("magnitude"))
    #expect(found.contains("line 7, \"stages.1.prune.parameters\": "))
    #expect(found.contains("exponent"))
  }
}
