import BillhookFormats
import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

/// What a person reads after a mistake: the whole text, and the exit code.
@Suite struct WrongInputTests {
  private let folder = TemporaryFolder()

  private func network() throws {
    let made = try BillhookProcess(
      "new", "cnn", "-o", "a.onnx", "--width", "4", "--quiet", folder: folder.path)
    #expect(made.code == 0, "\(made.errors)")
  }

  private func expect(
    _ command: String, code: Int32 = 1, says sentence: String,
    at location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try BillhookProcess(
      command.split(separator: " ").map(String.init), folder: folder.path)
    #expect(result.code == code, sourceLocation: location)
    #expect(result.errors == "billhook: error: \(sentence)\n", sourceLocation: location)
    #expect(result.output.isEmpty, sourceLocation: location)
    #expect(!folder.names.contains("out.onnx"), sourceLocation: location)
  }

  @Test func `a model that was cut short names the byte and the field`() throws {
    try network()
    let whole = folder.bytes("a.onnx")
    _ = folder.file("cut.onnx", Array(whole.prefix(5000)))
    let message = try BillhookProcess("inspect", "cut.onnx", folder: folder.path)
    #expect(message.code == 1)
    #expect(
      message.errors.hasPrefix(
        "billhook: error: Cannot read \"cut.onnx\" as ONNX: at byte 12 (model.graph), found a length of "
      ))
    #expect(
      message.errors.hasSuffix(
        ", but expected at most 4984, the bytes that are left. The file is damaged, cut short or of "
          + "another kind; copy or export it again.\n"))
  }

  @Test func `plugin validate takes an unknown id and a bad pattern for usage errors`() throws {
    let library = try compiledPlugin("Tests/BrokenPlugins/conformance_loss.c")
    try expect(
      "plugin validate \(library) --id nobody", code: 2,
      says: """
        The library "\(library)" has no plugin "nobody"; it has "org.example.broken.loss".
        """)
    let pattern = try BillhookProcess(
      "plugin", "validate", library, "--include", "(", folder: folder.path)
    #expect(pattern.code == 2)
    #expect(
      pattern.errors.hasPrefix("billhook: error: \"(\" is not a regular expression: "),
      "\(pattern.errors)")
  }

  @Test func `a file of another kind is said`() throws {
    _ = folder.file("empty.onnx", [])
    try expect(
      "prune empty.onnx -o out.onnx --granularity channel --ratio 0.5",
      says: """
        Cannot prune. Cannot read "empty.onnx" as ONNX: at byte 0, found an empty file, but \
        expected a protobuf message ModelProto. The file is damaged, cut short or of another kind; \
        copy or export it again.
        """)
  }

  @Test func `an operator that is missing is named with its node`() throws {
    let graph = Graph.testing("TfIdfVectorizer", ["N", 4])
    try ONNXFile.write(graph, to: folder("words.onnx"))
    try expect(
      "prune words.onnx -o out.onnx --granularity element --ratio 0.5",
      says: """
        Cannot prune. In "words.onnx": Node "node" uses the operator "TfIdfVectorizer", which is \
        not supported. docs/onnx-support.md lists the operators that are.
        """)
  }

  @Test func `an output whose name promises another kind is refused before any work`() throws {
    try network()
    try SafetensorsFile(tensors: [
      "w": Tensor([1, -2, 3, -4] as [Float], shape: [2, 2])
    ]).write(to: folder("m.safetensors"))
    try expect(
      "prune a.onnx -o b.safetensors --granularity channel --ratio 0.5",
      says: """
        The output "b.safetensors" would hold a network, which is an ONNX file; choose a name that \
        ends in .onnx.
        """)
    try expect(
      "prune m.safetensors -o out.onnx --granularity element --ratio 0.5",
      says: """
        The output "out.onnx" would hold tensors without a network, which are a safetensors \
        checkpoint; choose a name that ends in .safetensors.
        """)
    try expect(
      "infer a.onnx --input input=x.npy -o y.npy",
      says: """
        The output "y.npy" would hold all outputs of the network, which are an NPZ archive; choose \
        a name that ends in .npz.
        """)
  }

  @Test func `a plugin that is not there gets the nearest name`() throws {
    try network()
    try expect(
      "prune a.onnx -o out.onnx --granularity channel --ratio 0.5 --scorer magnitud",
      says: """
        Cannot prune. There is no scorer "magnitud"; did you mean "org.billhook.magnitude"? Known \
        are "org.billhook.activation", "org.billhook.activation.apoz", \
        "org.billhook.activation.wanda", "org.billhook.magnitude" and "org.billhook.random".
        """)
    try expect(
      "prune a.onnx -o out.onnx --granularity channel --ratio 0.5 --scorer ./no.so",
      says: """
        Cannot prune. Cannot read the plugin "./no.so": No such file or directory. Check the path \
        and its permissions.
        """)
  }

  @Test func `a parameter that is wrong says what the plugin takes`() throws {
    try network()
    try expect(
      "prune a.onnx -o out.onnx --granularity channel --ratio 0.5 --param exponnt=2",
      says: """
        Cannot prune. Plugin "org.billhook.magnitude" has no parameter "exponnt"; did you mean \
        "exponent"? It has "exponent".
        """)
    try expect(
      "prune a.onnx -o out.onnx --granularity channel --ratio 0.5 --param exponent=99",
      says: """
        Cannot prune. Parameter "exponent" of plugin "org.billhook.magnitude" is 99 but must be a \
        number from 0.1 to 8.
        """)
  }

  @Test func `a stage that matches nothing is an error`() throws {
    try network()
    try expect(
      "prune a.onnx -o out.onnx --granularity channel --ratio 0.5 --include nothing",
      says: """
        Cannot prune. The pattern "nothing" matches no layer. Layers: conv1, conv2, fc1, fc2.
        """)
  }

  @Test(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
  func `data that does not fit the network names both shapes`() throws {
    try network()
    try expect(
      "evaluate a.onnx --data fashion-mnist:test,channels=3",
      says: """
        The data "fashion-mnist:test,channels=3" has the shape [10000, 3, 28, 28] but the network's \
        input "input" takes [N, 1, 28, 28]; choose data of that shape, or set channels=.
        """)
  }

  @Test(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
  func `a recipe is checked as a whole before any work`() throws {
    let demo = PackageFolder.url.appendingPathComponent("docs/recipes/demo.yaml")
    let text = try String(contentsOf: demo, encoding: .utf8)
      .replacingOccurrences(of: "ratio: 0.5", with: "ratoi: 0.5")
      .replacingOccurrences(of: "epochs: 9", with: "epochs: 0")
    _ = folder.file("bad.yaml", Array(text.utf8))
    let result = try BillhookProcess("run", "bad.yaml", folder: folder.path)
    #expect(result.code == 1)
    #expect(result.output.isEmpty)
    let lines = result.errors.split(separator: "\n").map(String.init)
    try #require(lines.count == 3)
    #expect(lines[0] == "billhook: error: The recipe \"bad.yaml\" has 2 problems.")
    #expect(
      lines[1] == """
          line 27, "stages.1.prune.ratoi": There is no key "ratoi" here. Did you mean "ratio"? Keys: \
        scorer, parameters, isolation, on_plugin_crash, granularity, block, pattern, ratio, scope, \
        mask_only, group_reduce, round_to, include, exclude, reestimate_statistics, save.
        """)
    #expect(
      lines[2] == """
          line 34, "stages.2.distill.epochs": Found "0", but a whole number of at least 1 is needed.
        """)
    #expect(folder.names == ["bad.yaml"])
  }

  @Test func `an architecture that is unknown ends with 2 and the list`() throws {
    let result = try BillhookProcess("new", "vgg", "-o", "out.onnx", folder: folder.path)
    #expect(result.code == 2)
    #expect(
      result.errors.hasPrefix(
        """
        billhook: error: There is no architecture "vgg". Architectures: simplenet, cnn, mlp, \
        lenet-300-100, lenet-5, resnet8, resnet20.

        """))
  }

  @Test func `a size that an architecture cannot have ends with 2 and the range`() throws {
    let result = try BillhookProcess(
      "new", "cnn", "--classes", "0", "-o", "out.onnx", folder: folder.path)
    #expect(result.code == 2)
    #expect(
      result.errors.hasPrefix(
        """
        billhook: error: Option "classes" of the network "cnn" is 0, expected 1 to 100000.

        """))
    #expect(folder.names == [])
  }

  @Test(.enabled(if: RealData.hasFashionMNIST, "needs the package dataset-fashion-mnist"))
  func `a problem of data that is named twice is said once`() throws {
    try network()
    try expect(
      "distill a.onnx -o out.onnx --teacher a.onnx --data fashion-mnist:train,channels=3",
      says: """
        Cannot distill. The data "fashion-mnist:train,channels=3" has the shape \
        [60000, 3, 28, 28] but the network's input "input" takes [N, 1, 28, 28]; choose data of \
        that shape, or set channels=.
        """)
  }

  @Test func `a word that is no command ends with 2`() throws {
    let result = try BillhookProcess("frobnicate", folder: folder.path)
    #expect(result.code == 2)
    #expect(
      result.errors == """
        billhook: error: There is no command "billhook frobnicate". "billhook" has the commands new, \
        train, evaluate, prune, distill, quantize, restore, run, sweep, infer, inspect, bench, \
        plugin; "billhook --help" says what they do.

        """)
  }

  @Test(arguments: [("untrust mine.so", "trust --remove"), ("doctr", "doctor")])
  func `a word that is no command of a group names the one that is near`(
    words: String, near: String
  ) throws {
    let typed = words.split(separator: " ").map(String.init)
    let result = try BillhookProcess(["plugin"] + typed, folder: folder.path)
    let word = typed[0]
    #expect(result.code == 2)
    #expect(
      result.errors == """
        billhook: error: There is no command "billhook plugin \(word)"; did you mean \
        "billhook plugin \(near)"? "billhook plugin" has the commands list, show, new, bench, \
        validate, fuzz, trust, why, doctor, clear; "billhook plugin --help" says what they do.

        """)
  }
}
