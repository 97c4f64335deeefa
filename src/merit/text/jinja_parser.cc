// The statements of a template.
#include <map>

#include "merit/text/jinja_expressions.h"

namespace merit::text::jinja {

namespace {

class Parser : ExpressionParser {
 public:
  explicit Parser(Program& program) : ExpressionParser(program) {}

  void run() { program_.body = statements({}, nullptr); }

 private:
  // Up to a tag that is one of `ends`; its name goes to `end` and the parser stands behind it. Without `ends`: to the
  // end of the template.
  Body statements(const std::vector<std::string_view>& ends, std::string* end) {
    Nest nest(*this);
    const size_t opened = current().offset;
    Body body;
    while (true) {
      const Token token = next();
      if (token.kind == TokenKind::kEnd) {
        if (ends.empty()) return body;
        error(opened, fmt::format("the template ends before {}", fmt::join(ends, " or ")));
      }
      if (token.kind == TokenKind::kData) {
        body.push_back(statement(Stmt::kData, token.offset));
        body.back()->data = token.text;
      } else if (token.kind == TokenKind::kPrintBegin) {
        body.push_back(statement(Stmt::kPrint, token.offset));
        body.back()->value = tuple(true, {});
        if (current().kind != TokenKind::kPrintEnd) unexpected("}}");
        ++at_;
      } else {
        const Token tag = current();
        if (tag.kind != TokenKind::kName) unexpected("a tag's name");
        if (std::find(ends.begin(), ends.end(), tag.text) != ends.end()) {
          *end = tag.text;
          ++at_;
          return body;
        }
        parse_tag(tag, body);
        end_tag();
      }
    }
  }

  void end_tag() {
    if (current().kind != TokenKind::kTagEnd) unexpected("the end of the tag");
    ++at_;
  }

  // The body behind a tag's head: to `ends`, which is left behind, its tag end not yet read.
  Body block(const std::vector<std::string_view>& ends, std::string* end = nullptr) {
    skip_op(":");
    end_tag();
    std::string name;
    Body body = statements(ends, end != nullptr ? end : &name);
    return body;
  }

  static std::unique_ptr<Stmt> statement(Stmt::Kind kind, size_t offset) {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->offset = offset;
    return stmt;
  }

  void parse_tag(const Token& tag, Body& body) {
    using Handler = void (Parser::*)(Stmt&);
    struct Entry {
      Stmt::Kind kind;
      Handler handler;
    };
    static const std::map<std::string_view, Entry> kTags = {
        {"if", {Stmt::kIf, &Parser::if_tag}},
        {"for", {Stmt::kFor, &Parser::for_tag}},
        {"set", {Stmt::kSet, &Parser::set_tag}},
        {"with", {Stmt::kWith, &Parser::with_tag}},
        {"macro", {Stmt::kMacro, &Parser::macro_tag}},
        {"call", {Stmt::kCallBlock, &Parser::call_tag}},
        {"filter", {Stmt::kFilterBlock, &Parser::filter_tag}},
        {"generation", {Stmt::kGeneration, &Parser::generation_tag}},
        {"break", {Stmt::kBreak, &Parser::leave_tag}},
        {"continue", {Stmt::kContinue, &Parser::leave_tag}},
    };
    if (tag.text == "print") return print_tag(body);
    const auto found = kTags.find(tag.text);
    if (found == kTags.end()) {
      static constexpr std::string_view kOthers[] = {"include", "import",     "from", "extends",
                                                     "block",   "autoescape", "do"};
      const bool known = std::find(std::begin(kOthers), std::end(kOthers), tag.text) != std::end(kOthers);
      if (known) unsupported(tag.offset, fmt::format("the tag {} has no place in a chat template", quote(tag.text)));
      error(tag.offset, fmt::format("unknown tag {}", quote(tag.text)));
    }
    ++at_;
    body.push_back(statement(found->second.kind, tag.offset));
    (this->*found->second.handler)(*body.back());
  }

  void print_tag(Body& body) {
    const size_t offset = next().offset;
    bool first = true;
    while (current().kind != TokenKind::kTagEnd) {
      if (!first) expect_op(",");
      first = false;
      body.push_back(statement(Stmt::kPrint, offset));
      body.back()->value = expression(true);
    }
  }

  void if_tag(Stmt& stmt) {
    std::string end = "elif";
    while (end == "elif") {
      ExprPtr test = tuple(false, {});
      Body body = block({"elif", "else", "endif"}, &end);
      stmt.branches.emplace_back(std::move(test), std::move(body));
    }
    if (end == "else") stmt.otherwise = block({"endif"});
  }

  void for_tag(Stmt& stmt) {
    stmt.target = target({"in"}, false);
    if (!skip_name("in")) unexpected("in");
    stmt.value = tuple(false, {"recursive"});
    if (skip_name("if")) stmt.test = expression(true);
    if (is_name("recursive")) unsupported(current().offset, "recursive loops");
    std::string end;
    ++loops_;
    stmt.body = block({"endfor", "else"}, &end);
    --loops_;
    if (end == "else") stmt.otherwise = block({"endfor"});
  }

  void set_tag(Stmt& stmt) {
    stmt.target = target({}, true);
    if (skip_op("=")) {
      stmt.value = tuple(true, {});
      return;
    }
    stmt.kind = Stmt::kSetBlock;
    if (is_op("|")) stmt.value = filters(nullptr);
    stmt.body = block({"endset"});
  }

  void with_tag(Stmt& stmt) {
    while (current().kind != TokenKind::kTagEnd && !is_op(":")) {
      if (!stmt.assignments.empty()) expect_op(",");
      ExprPtr to = target({}, false);
      expect_op("=");
      ExprPtr value = expression(true);
      stmt.assignments.emplace_back(std::move(to), std::move(value));
    }
    stmt.body = block({"endwith"});
  }

  // A body that the reference runs as a function: a loop outside cannot be left from inside it.
  Body function_body(const std::vector<std::string_view>& ends) {
    const int loops = std::exchange(loops_, 0);
    Body body = block(ends);
    loops_ = loops;
    return body;
  }

  void macro_tag(Stmt& stmt) {
    stmt.macro = std::make_unique<MacroDef>();
    stmt.macro->name = expect_name("a macro's name");
    signature(*stmt.macro);
    macro_body(*stmt.macro, {"endmacro"});
  }

  void macro_body(MacroDef& macro, const std::vector<std::string_view>& ends) {
    macros_.push_back(&macro);
    macro.body = function_body(ends);
    macros_.pop_back();
  }

  void signature(MacroDef& macro) {
    expect_op("(");
    while (!is_op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      const size_t offset = current().offset;
      const std::string name = expect_name("a parameter's name");
      if (is_reserved(name)) error(offset, "a parameter cannot be named " + name);
      macro.parameters.push_back(name);
      if (skip_op("=")) {
        macro.defaults.push_back(expression(true));
      } else if (!macro.defaults.empty()) {
        error(offset, "a parameter without a default behind one that has one");
      }
    }
    expect_op(")");
  }

  void call_tag(Stmt& stmt) {
    stmt.macro = std::make_unique<MacroDef>();
    stmt.macro->name = "caller";
    if (is_op("(")) signature(*stmt.macro);
    const size_t offset = current().offset;
    stmt.value = expression(true);
    if (stmt.value->kind != Expr::kCall) error(offset, "expected a call");
    macro_body(*stmt.macro, {"endcall"});
  }

  void filter_tag(Stmt& stmt) {
    stmt.value = filter(nullptr);
    stmt.value = filters(std::move(stmt.value));
    stmt.body = block({"endfilter"});
  }

  void generation_tag(Stmt& stmt) {
    program_.has_generation = true;
    stmt.body = function_body({"endgeneration"});
  }

  void leave_tag(Stmt& stmt) {
    if (loops_ == 0) error(stmt.offset, "there is no loop to leave here");
  }

  // ---- targets

  static bool is_reserved(const std::string& name) {
    static constexpr std::string_view kNames[] = {"true", "false", "none", "True", "False", "None"};
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  }

  ExprPtr one_target(bool members) {
    Nest nest(*this);
    const Token token = current();
    if (token.kind == TokenKind::kOperator && token.text == "(") {
      ++at_;
      ExprPtr inner = targets({}, members);
      expect_op(")");
      return inner;
    }
    const std::string name = expect_name("a name to assign to");
    if (is_reserved(name)) error(token.offset, "cannot assign to " + name);
    ExprPtr expr = make(Expr::kName, token.offset);
    if (members && skip_op(".")) {
      expr->kind = Expr::kMember;
      expr->children.push_back(make(Expr::kName, token.offset));
      expr->children[0]->name = name;
      expr->name = expect_name("an attribute's name");
    } else {
      expr->name = name;
    }
    return expr;
  }

  ExprPtr target(const std::vector<std::string_view>& ends, bool members) { return targets(ends, members); }

  ExprPtr targets(const std::vector<std::string_view>& ends, bool members) {
    const size_t offset = current().offset;
    std::vector<ExprPtr> list;
    bool is_tuple = false;
    while (true) {
      if (!list.empty() && ends_tuple(ends)) break;
      list.push_back(one_target(members));
      if (!skip_op(",")) break;
      is_tuple = true;
    }
    if (!is_tuple) return std::move(list[0]);
    return make(Expr::kTuple, offset, std::move(list));
  }

  int loops_ = 0;
};

}  // namespace

std::shared_ptr<const Program> parse(std::string_view text, std::string where) {
  auto program = std::make_shared<Program>();
  program->given = std::string(text);
  program->source = make_source(text, std::move(where));
  Parser(*program).run();
  return program;
}

}  // namespace merit::text::jinja
