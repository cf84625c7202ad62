internal import BillhookGraph
internal import BillhookPlugins

/// The keys of the recipe format, version 1.
enum RecipeVocabulary {
  static let architectures = NetworkTemplate.allCases.map(\.rawValue)
  static let unlimited = Double.infinity
  static let fraction = NumberRange(low: 0, high: 1, includesLow: false, includesHigh: false)
  static let share = NumberRange(low: 0, high: 1, includesHigh: false)
  static let notNegative = NumberRange(low: 0, high: unlimited)
  static let positive = NumberRange(low: 0, high: unlimited, includesLow: false)

  static let recipe = RecipeSection(
    keys: [
      RecipeKey(
        "version", .integer(atLeast: 1), required: true, "The version of the recipe format: 1."),
      RecipeKey(
        "model", .textOrSection(RecipeSection(keys: [newNetwork], doc: "A network to make.")),
        required: true, "An ONNX file, or a network with fresh weights."),
      RecipeKey("data", .section(data), "Where samples come from."),
      RecipeKey(
        "seed", .integer(atLeast: 0, atMost: .max), default: "0",
        "The same seed, recipe and data give the same files."),
      RecipeKey("output", .text, required: true, "The folder that gets all written files."),
      RecipeKey("stages", .stages, required: true, "What to do, in order."),
    ], doc: "A Billhook recipe: what to do with a network, stage by stage.")

  static let newNetwork = RecipeKey(
    "new",
    .textOrSection(
      RecipeSection(
        keys: [
          RecipeKey(
            "architecture", .choice(architectures), required: true, "Which network to make."),
          RecipeKey("width", .integer(atLeast: 1), "Channels of the first layer."),
          RecipeKey(
            "channels", .integer(atLeast: 1), "Channels of the image; 3 for simplenet, else 1."),
          RecipeKey("classes", .integer(atLeast: 1), default: "10", "The number of classes."),
          RecipeKey(
            "image", .integer(atLeast: 1), default: "28", "Height and width of the image."),
          RecipeKey(
            "seed", .integer(atLeast: 0, atMost: .max),
            "For the initial weights; the recipe's when left out."),
        ], doc: "A network with fresh weights.")),
    required: true, "The name of an architecture, or its settings.")

  static let data = RecipeSection(
    keys: [
      RecipeKey("train", .dataSource, "For training and distillation."),
      RecipeKey("test", .dataSource, "For the evaluation after each stage."),
      RecipeKey(
        "calibration", .dataSource,
        "For scorers' statistics and quantizers' ranges; the training data when left out."),
    ], doc: "Where samples come from.")

  static let stages: [(name: String, section: RecipeSection)] = [
    ("train", train), ("prune", prune), ("distill", distill), ("quantize", quantize),
    ("evaluate", evaluate),
  ]

  static let save = RecipeKey(
    "save", .text, "Keep the stage's network under this name in the output folder.")
  static let include = RecipeKey(
    "include", .texts, "Only layers with these names; \"*\" and \"?\" stand for any text.")
  static let exclude = RecipeKey(
    "exclude", .texts, "Leave these layers alone; \"*\" and \"?\" stand for any text.")

  static let training: [RecipeKey] = [
    RecipeKey("epochs", .integer(atLeast: 1), default: "4", "How often to go through the data."),
    RecipeKey("batch_size", .integer(atLeast: 1), default: "128", "Samples in a step."),
    RecipeKey(
      "optimizer", .choice(TrainingOptions.OptimizerName.allCases.map(\.rawValue)), default: "sgd",
      "How weights follow their gradients."),
    RecipeKey(
      "learning_rate", .number(positive), "The highest rate; 0.05 for sgd, else 0.001."),
    RecipeKey("momentum", .number(share), default: "0.9", "For sgd."),
    RecipeKey("weight_decay", .number(notNegative), default: "0", "Pulls weights towards zero."),
    RecipeKey(
      "schedule", .choice(TrainingOptions.Schedule.allCases.map(\.rawValue)), default: "cosine",
      "How the rate changes over the steps."),
    RecipeKey(
      "step_epochs", .integer(atLeast: 1), default: "1", "For step: epochs between two changes."),
    RecipeKey(
      "step_factor", .number(positive), default: "0.1", "For step: what the rate is multiplied by."),
    RecipeKey(
      "final_learning_rate", .number(notNegative), default: "0", "For cosine: where the rate ends."
    ),
    RecipeKey(
      "warmup_steps", .integer(atLeast: 0), default: "0", "Steps over which the rate rises from 0."
    ),
    RecipeKey("augmentation", .section(augmentation), "Random changes of the images."),
    RecipeKey(
      "network_output", .text,
      "The output of the network that the loss looks at; the first floating-point one when left out."
    ),
  ]

  static let augmentation = RecipeSection(
    keys: [
      RecipeKey(
        "shift", .integer(atLeast: 0, atMost: 1 << 16), default: "0",
        "Up to this many pixels each way, zeros come in."
      ),
      RecipeKey("flip", .boolean, default: "false", "Mirror half of the images."),
      RecipeKey(
        "views", .integer(atLeast: 1, atMost: 1 << 12),
        "For distill: how many changed versions of each image the teacher is recorded for."),
    ], doc: "Random changes of training images.")

  static let isolation = RecipeKey(
    "isolation", .choice(Isolation.allCases.map(\.rawValue)),
    "Where the plugin runs; never milder than the trust file and the command line allow.")
  static let onPluginCrash = RecipeKey(
    "on_plugin_crash", .choice(CrashPolicy.allCases.map(\.rawValue)), default: "stop",
    "When a plugin in a worker crashes or hangs: end the run, or leave the layer as it is.")

  static let train = RecipeSection(
    keys: [
      RecipeKey("loss", .text, default: PluginChoice.defaultLoss, "A loss plugin: its id or path."),
      RecipeKey("parameters", .parameters, "The loss plugin's parameters."),
      isolation, onPluginCrash,
    ] + training + [save],
    doc: "Train from labels.")

  static let prune = RecipeSection(
    keys: [
      RecipeKey(
        "scorer", .text, default: PluginChoice.defaultScorer, "A scorer plugin: its id or path."),
      RecipeKey("parameters", .parameters, "The scorer plugin's parameters."),
      isolation, onPluginCrash,
      RecipeKey(
        "granularity", .choice(PruneStage.Granularity.allCases.map(\.rawValue)), required: true,
        "What is removed: single weights or blocks of them become zero, channels are cut out."),
      RecipeKey(
        "block", .sizes(count: 2),
        "For block: output channels and inputs of a block, such as [4, 1]."),
      RecipeKey(
        "pattern", .text,
        "For element and block, in place of ratio: how many of how many neighbours along the "
          + "input axis stay, such as \"2:4\"."),
      RecipeKey("ratio", .number(fraction), "The fraction to remove; needed without pattern."),
      RecipeKey(
        "scope", .choice(PruneStage.Scope.allCases.map(\.rawValue)),
        "Rank over all layers or within each; global for elements and blocks whose scores compare "
          + "across layers, else layer."),
      RecipeKey("mask_only", .boolean, default: "false", "Keep all shapes, set zeros."),
      RecipeKey(
        "group_reduce", .choice(PruneStage.GroupReduce.allCases.map(\.rawValue)), default: "mean",
        "How the scores of coupled layers are combined."),
      RecipeKey("round_to", .integer(atLeast: 1), "Keep a multiple of this many channels."),
      include, exclude,
      RecipeKey(
        "reestimate_statistics", .boolean, default: "true",
        "Measure batch-norm statistics again afterwards, on the calibration data."),
      save,
    ], doc: "Remove the least important elements, blocks or channels.")

  static let distill = RecipeSection(
    keys: [
      RecipeKey(
        "teacher", .text, default: "original",
        "\"original\" (the network before the first compressing stage) or an ONNX file."),
      RecipeKey("loss", .text, default: PluginChoice.defaultLoss, "A loss plugin: its id or path."),
      RecipeKey("parameters", .parameters, "The loss plugin's parameters."),
      isolation, onPluginCrash,
      RecipeKey(
        "features", .pairs,
        "For a loss that compares inner tensors: the student's tensor and the teacher's, by name."),
      RecipeKey(
        "quantizer", .text,
        "A quantizer plugin, its id or path: train as if the network was quantized by it already."),
      RecipeKey("quantizer_parameters", .parameters, "The quantizer plugin's parameters."),
    ] + training + [save],
    doc: "Train against the recorded outputs of a teacher.")

  static let quantize = RecipeSection(
    keys: [
      RecipeKey(
        "quantizer", .text, default: PluginChoice.defaultQuantizer,
        "A quantizer plugin: its id or path."),
      RecipeKey("parameters", .parameters, "The quantizer plugin's parameters."),
      isolation, onPluginCrash,
      RecipeKey(
        "mode", .choice(QuantizeStage.Mode.allCases.map(\.rawValue)), default: "static",
        "Activations by fixed ranges, by ranges found while running, or not at all."),
      RecipeKey(
        "calibration", .choice(QuantizeStage.Calibration.allCases.map(\.rawValue)),
        default: "min-max", "How fixed ranges are found."),
      RecipeKey(
        "percentile", .number(NumberRange(low: 50, high: 100, includesLow: false)),
        default: "99.99", "For percentile: the share of values inside the range."),
      RecipeKey(
        "samples", .integer(atLeast: 1), default: "1000", "Calibration samples to look at."),
      RecipeKey(
        "weight_range", .choice(QuantizeStage.WeightRange.allCases.map(\.rawValue)),
        default: "auto",
        "auto: seven bits where 16-bit sums could saturate on CPUs without VNNI; full: always eight."
      ),
      RecipeKey(
        "min_reduction", .integer(atLeast: 0), default: "32",
        "Convolutions that sum fewer products an output stay in float; 0: none does."),
      include, exclude, save,
    ], doc: "Turn floating-point numbers into integers.")

  static let evaluate = RecipeSection(
    keys: [save], doc: "Measure again; every stage is measured after it anyway.")
}
