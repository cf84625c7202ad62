import BillhookPipeline
import BillhookTestSupport
import Foundation
import Testing

@Suite struct RecipeFileTests {
  static let whole = """
    version: 1
    model:
      new: cnn
    data:
      train: fashion-mnist:train
      test: fashion-mnist:test,limit=100
    seed: 3
    output: build/x
    stages:
      - train:
          epochs: 2
          parameters: {alpha: 0.5}
      - prune:
          granularity: channel
          ratio: 0.5
          exclude: fc2
          save: pruned.onnx
      - distill:
          teacher: big.onnx
          optimizer: adamw
          augmentation: {shift: 2, flip: true, views: 4}
      - quantize:
          mode: weight-only
      - evaluate
    """

  private func recipe(_ text: String, _ overrides: [String] = []) throws -> Recipe {
    try RecipeFile(yaml: text, name: "r.yaml", overrides: overrides.map { try RecipeOverride($0) })
      .recipe
  }

  private func problems(_ text: String) -> [RecipeProblem] {
    do {
      _ = try RecipeFile(yaml: text, name: "r.yaml")
      return []
    } catch PipelineError.recipe(_, let problems) {
      return problems
    } catch {
      Issue.record("unexpected \(error)")
      return []
    }
  }

  @Test func `a whole recipe is read with its defaults`() throws {
    let recipe = try recipe(Self.whole)
    #expect(recipe.model == .new(NewNetwork(architecture: "cnn")))
    #expect(recipe.seed == 3)
    #expect(recipe.data.test == DataSource(.fashionMNIST(.test), limit: 100))
    #expect(recipe.stages.map(\.name) == ["train", "prune", "distill", "quantize", "evaluate"])
    guard case .train(let train) = recipe.stages[0].work,
      case .prune(let prune) = recipe.stages[1].work,
      case .distill(let distill) = recipe.stages[2].work,
      case .quantize(let quantize) = recipe.stages[3].work
    else {
      Issue.record("stages of other kinds")
      return
    }
    #expect(train.training.epochs == 2)
    #expect(train.training.effectiveLearningRate == 0.05)
    #expect(train.loss.parameters == [.init(key: "alpha", values: ["0.5"], isList: false)])
    #expect(prune.effectiveScope == .layer)
    #expect(prune.exclude == ["fc2"])
    #expect(recipe.stages[1].save == "pruned.onnx")
    #expect(distill.teacher == .file("big.onnx"))
    #expect(distill.training.effectiveLearningRate == 0.001)
    #expect(distill.training.augmentation == AugmentationOptions(shift: 2, flip: true, views: 4))
    #expect(quantize.mode == .weightOnly)
  }

  @Test func `train uses the labels alone unless told otherwise`() throws {
    let recipe = try recipe("version: 1\nmodel: a.onnx\noutput: o\nstages: [train: {}]")
    guard case .train(let train) = recipe.stages[0].work else {
      Issue.record("not a train stage")
      return
    }
    #expect(train.loss.parameters == [.init(key: "alpha", values: ["1"], isList: false)])
  }

  @Test func `set changes values, stages by number`() throws {
    let recipe = try recipe(
      Self.whole,
      ["stages.1.prune.ratio=0.7", "data.train=npz:a.npz", "stages.1.prune.scope=global"])
    guard case .prune(let prune) = recipe.stages[1].work else {
      Issue.record("not a prune stage")
      return
    }
    #expect(prune.ratio == 0.7)
    #expect(prune.scope == .global)
    #expect(recipe.data.train == DataSource(.npz(path: "a.npz")))
  }

  @Test(arguments: [
    ("stages.1.prune.ratio", "There is no \"=\". Write KEY.PATH=VALUE."),
    ("stages..ratio=1", "The key path before \"=\" has an empty part."),
    ("stages.9.prune.ratio=1", "\"stages\" has 5 entries, so \"9\" must be a number from 0 to 4."),
    (
      "seed.x=1",
      "\"seed\" is \"3\", which has no keys inside. Write it as a mapping in the recipe first."
    ),
    ("seed={", "The value is not YAML."),
  ])
  func `a wrong setting is explained`(text: String, problem: String) {
    let error = #expect(throws: PipelineError.self) { try self.recipe(Self.whole, [text]) }
    #expect(error?.description == "The setting \"\(text)\" cannot be used. \(problem)")
  }

  @Test func `all problems are found at once, each with its line`() {
    let text = """
      version: 1
      model: a.onnx
      data:
        trian: fashion-mnist:train
      output: o
      stages:
        - prune:
            granularity: chanel
            ratio: 1.5
        - distil:
            epochs: 2
        - train:
            epochs: two
            momentum: 1
            flip: yes
      """
    #expect(
      problems(text).map(\.description) == [
        """
        line 4, "data.trian": There is no key "trian" here. Did you mean "train"? Keys: train, \
        test, calibration.
        """,
        """
        line 8, "stages.0.prune.granularity": Found "chanel", but one of element, block, channel is \
        needed. Did you mean "channel"?
        """,
        """
        line 9, "stages.0.prune.ratio": Found "1.5", but a number above 0 and below 1 is needed.
        """,
        """
        line 10, "stages.1": There is no stage "distil". Did you mean "distill"? Stages: train, \
        prune, distill, quantize, evaluate.
        """,
        """
        line 13, "stages.2.train.epochs": Found "two", but a whole number of at least 1 is needed.
        """,
        """
        line 14, "stages.2.train.momentum": Found "1", but a number at least 0 and below 1 is needed.
        """,
        """
        line 15, "stages.2.train.flip": There is no key "flip" here. Keys: loss, parameters, \
        isolation, on_plugin_crash, epochs, batch_size, optimizer, learning_rate, momentum, \
        weight_decay, schedule, step_epochs, step_factor, final_learning_rate, warmup_steps, \
        augmentation, network_output, save.
        """,
      ])
  }

  @Test func `a number that is too large is named with the largest`() {
    let text = """
      version: 1
      model: a.onnx
      output: o
      seed: 9223372036854775807
      stages:
        - train: {epochs: 9223372036854775807}
        - distill:
            augmentation: {shift: 65537, views: 99999999999999999999}
      """
    #expect(
      problems(text).map(\.description) == [
        """
        line 6, "stages.0.train.epochs": Found "9223372036854775807", but a whole number of at \
        least 1 and at most 2147483648 is needed.
        """,
        """
        line 8, "stages.1.distill.augmentation.shift": Found "65537", but a whole number of at \
        least 0 and at most 65536 is needed.
        """,
        """
        line 8, "stages.1.distill.augmentation.views": Found "99999999999999999999", but a whole \
        number of at least 1 and at most 4096 is needed.
        """,
      ])
  }

  @Test func `the sentence of one problem names the recipe and the line`() {
    let error = #expect(throws: PipelineError.self) {
      try RecipeFile(
        yaml: "version: 2\nmodel: a.onnx\noutput: o\nstages: [evaluate]", name: "r.yaml")
    }
    #expect(
      error?.description == """
        The recipe "r.yaml" cannot be used. Line 1, "version": The recipe is written in version 2 \
        of the format, but this Billhook reads version 1. Use a Billhook that knows it, or rewrite \
        the recipe.
        """)
  }

  @Test(
    arguments: [
      ("", "The recipe is empty. It needs at least version, model, output and stages."),
      ("a: [", nil), ("[1, 2]", nil), ("version: 1\nversion: 1", nil), ("\u{0}", nil),
      ("a: &x [*x]", nil), ("? [a]\n: b", nil),
    ] as [(String, String?)])
  func `text that is no recipe is an error`(text: String, sentence: String?) {
    let found = problems(text)
    #expect(!found.isEmpty)
    if let sentence { #expect(found.first?.sentence == sentence) }
  }

  @Test func `missing keys are said with their meaning`() {
    #expect(
      problems("version: 1\nstages: []").map(\.description) == [
        "line 1: The key \"model\" is missing: An ONNX file, or a network with fresh weights.",
        "line 1: The key \"output\" is missing: The folder that gets all written files.",
        """
        line 2, "stages": The list of stages is empty; add at least one of train, prune, distill, \
        quantize, evaluate.
        """,
      ])
  }

  @Test func `a wrong ratio is one problem`() {
    #expect(
      problems(
        """
        version: 1
        model: a.onnx
        output: o
        stages:
          - prune: {granularity: element, ratio: 2}
        """
      ).map(\.description) == [
        """
        line 5, "stages.0.prune.ratio": Found "2", but a number above 0 and below 1 is needed.
        """
      ])
  }

  @Test func `a misspelt key that is required is one problem`() {
    #expect(
      problems("version: 1\nmodle: a.onnx\noutput: o\nstages:\n  - evaluate: {}")
        .map(\.description) == [
          """
          line 2, "modle": There is no key "modle" here. Did you mean "model"? Keys: version, model, \
          data, seed, output, stages.
          """
        ])
  }

  @Test(arguments: ["../x.onnx", "a/b.onnx", ".hidden", "report.json"])
  func `save takes plain names only`(name: String) {
    let found = problems(
      "version: 1\nmodel: a.onnx\noutput: o\nstages:\n  - evaluate: {save: \(name)}")
    #expect(
      found.map(\.description) == [
        """
        line 5, "stages.0.evaluate.save": The name "\(name)" must be a plain file name in the \
        output folder, such as "student.onnx".
        """
      ])
  }

  @Test(arguments: ["demo", "sparse", "qat", "quantize"])
  func `the documented examples are recipes`(name: String) throws {
    let path = PackageFolder.url.appendingPathComponent("docs/recipes/\(name).yaml").path
    #expect(try !RecipeFile(path: path).recipe.stages.isEmpty)
  }

  @Test func `a missing file is an error`() {
    let error = #expect(throws: PipelineError.self) { try RecipeFile(path: "/nowhere.yaml") }
    #expect(
      error?.description
        == "Cannot read \"/nowhere.yaml\": there is no such file. Check the path.")
  }
}
