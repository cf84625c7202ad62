/// A reason why a recipe, a data source or a piece of work cannot be used.
public enum PipelineError: Error, Equatable, CustomStringConvertible {
  case dataSource(String, problem: String)
  case cannotRead(path: String, reason: String)
  case recipe(name: String, problems: [RecipeProblem])
  case override(String, problem: String)
  case needsGraph(path: String, task: String)
  case outputIsInput(path: String)
  /// The name of an output says that it is of another kind than what it would hold.
  /// `other` is another way to a file of that name, if there is one.
  case outputKind(path: String, content: String, needed: String, other: String? = nil)
  /// A network in a file that cannot be computed.
  case network(path: String, reason: String)
  /// `network` is the file that is to get the weights, if there is one.
  case restoredKind(output: String, network: String?)
  case notQuantized(path: String)
  case quantizerMissing(path: String, plugin: String)
  case weightMissing(network: String, name: String, known: [String])
  case weightDiffers(network: String, name: String, found: String, expected: String)
  case noFolder(path: String, folder: String)
  case cannotWrite(path: String, reason: String)
  case packageMissing(source: String, package: String, folder: String)
  case dataMissing(task: String, role: String)
  case unknownArchitecture(String, known: [String])
  case stage(name: String, problems: [String])
  /// The work of a stage of a recipe ended with an error; `number` counts from 1.
  case stageFailed(number: Int, count: Int, name: String, reason: String)
  case nothingToCompare(data: String)
  case unknownInput(model: String, input: String, known: [String])
  case inputTwice(input: String)
  case missingInputs(model: String, inputs: [String])
  case inputType(file: String, input: String, found: String, expected: String)
  case inputShape(input: String, found: [Int], expected: [String])
  case batchesDiffer(first: String, firstCount: Int, second: String, secondCount: Int)
  case unknownInputShape(model: String, input: String, shape: [String])

  public var description: String {
    switch self {
    case .dataSource(let text, let problem):
      "The data source \"\(text)\" cannot be used. \(problem)"
    case .cannotRead(let path, let reason):
      "Cannot read \"\(path)\": \(reason). Check the path."
    case .recipe(let name, let problems):
      if problems.count == 1 {
        "The recipe \"\(name)\" cannot be used. \(capitalized(problems[0].description))"
      } else {
        "The recipe \"\(name)\" has \(problems.count) problems.\n"
          + problems.map { "  \($0)" }.joined(separator: "\n")
      }
    case .override(let text, let problem):
      "The setting \"\(text)\" cannot be used. \(problem)"
    case .needsGraph(let path, let task):
      """
      "\(path)" is a safetensors checkpoint, which holds tensors but no network; \(task) needs a \
      network. Give an ONNX file. Checkpoints work with prune --granularity element, quantize \
      --mode weight-only and inspect.
      """
    case .outputIsInput(let path):
      "The output \"\(path)\" is also an input, which is never overwritten; choose another name."
    case .outputKind(let path, let content, let needed, let other):
      "The output \"\(path)\" would hold \(content); choose a name that ends in \(needed)"
        + (other.map { ", or \($0)." } ?? ".")
    case .network(let path, let reason):
      "In \"\(path)\": \(reason)"
    case .restoredKind(let output, let network?):
      """
      The output "\(output)" is a checkpoint, but the weights go into the network "\(network)"; \
      write an ONNX file, or leave --network out.
      """
    case .restoredKind(let output, nil):
      """
      The output "\(output)" does not end in .safetensors, which is what is written without a \
      network; choose such a name, or add --network NETWORK.onnx.
      """
    case .notQuantized(let path):
      """
      "\(path)" does not say how its tensors are stored: it has no metadata "billhook.quantization". \
      Give a file that quantize --mode weight-only wrote.
      """
    case .quantizerMissing(let path, let plugin):
      """
      "\(path)" holds tensors that only the quantizer "\(plugin)" can read, and there is no \
      quantizer of that id. Name its file with --quantizer, or put it into a plugin folder.
      """
    case .weightMissing(let network, let name, let known):
      """
      The network "\(network)" has no weight "\(name)", which the checkpoint \
      has.\(suggestion(for: name, in: known)) Give the network that the checkpoint belongs to.
      """
    case .weightDiffers(let network, let name, let found, let expected):
      """
      The weight "\(name)" of the network "\(network)" is \(expected), but the checkpoint has \
      \(found). Give the network that the checkpoint belongs to.
      """
    case .noFolder(let path, let folder):
      """
      Cannot write "\(path)": there is no folder "\(folder)". Create it first, or choose another \
      place.
      """
    case .cannotWrite(let path, let reason):
      "Cannot write \"\(path)\": \(reason). Check the folder and its permissions."
    case .packageMissing(let source, let package, let folder):
      """
      The data source "\(source)" needs the files in "\(folder)", which are not there. Install the \
      Debian package "\(package)": apt-get install \(package).
      """
    case .dataMissing(let task, let role):
      """
      "\(task)" needs data, but none is named; give --data on the command line, or data.\(role) in \
      the recipe.
      """
    case .unknownArchitecture(let name, let known):
      """
      There is no architecture "\(name)".\(suggestion(for: name, in: known)) Architectures: \
      \(known.joined(separator: ", ")).
      """
    case .stage(let name, let problems):
      problems.count == 1
        ? "Cannot \(name). \(problems[0])"
        : "Cannot \(name), for \(problems.count) reasons.\n"
          + problems.map { "  \($0)" }.joined(separator: "\n")
    case .stageFailed(let number, let count, let name, let reason):
      "Stage \(number) of \(count), \"\(name)\", cannot be done. \(reason)"
        + (number > 1 ? " The stages before it are kept for the next run." : "")
    case .nothingToCompare(let data):
      """
      The data "\(data)" has no labels, so accuracy cannot be measured; name another network with \
      --against to see how often both agree.
      """
    case .unknownInput(let model, let input, let known):
      """
      "\(model)" has no input "\(input)".\(suggestion(for: input, in: known)) Inputs: \
      \(quoted(known)).
      """
    case .inputTwice(let input):
      "The input \"\(input)\" is given twice; give one file an input."
    case .missingInputs(let model, let inputs):
      """
      "\(model)" also needs the input\(inputs.count == 1 ? "" : "s") \(quoted(inputs)); add \
      --input NAME=FILE.npy for each.
      """
    case .inputType(let file, let input, let found, let expected):
      """
      "\(file)" holds \(found), but the input "\(input)" takes \(expected); convert the array with \
      astype first.
      """
    case .inputShape(let input, let found, let expected):
      """
      The array for the input "\(input)" has the shape \(found), but \
      [\(expected.joined(separator: ", "))] is needed\
      \(found.first == 0 ? ", with at least one sample" : "").
      """
    case .batchesDiffer(let first, let firstCount, let second, let secondCount):
      """
      The input "\(first)" has \(firstCount) samples but "\(second)" has \(secondCount); all inputs \
      need the same number.
      """
    case .unknownInputShape(let model, let input, let shape):
      """
      The input "\(input)" of "\(model)" has the shape [\(shape.joined(separator: ", "))]; only its \
      first axis, the batch, may be without a size here. Fix the other sizes in the file, or give \
      bench the arrays with --input.
      """
    }
  }

  private func capitalized(_ text: String) -> String {
    text.prefix(1).uppercased() + text.dropFirst()
  }

  private func quoted(_ names: [String]) -> String {
    names.map { "\"\($0)\"" }.joined(separator: ", ")
  }
}
