// From pieces with scores (a SentencePiece model, or the metadata of a GGUF file) to the models and the pipeline of
// tokenizer.json that give the same ids.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "merit/text/bpe.h"
#include "merit/text/sentencepiece.h"
#include "merit/text/tokenizer_impl.h"

namespace merit::text {

// SentencePiece joins the two neighbours whose union has the best score. As merges: every way to cut a normal piece in
// two normal pieces, the best piece first, the first id among equals. Error(kLimit) if the pieces are so long that
// trying the cuts takes more than 10^9 steps.
std::vector<Merge> merges_by_score(const SentencePieces& pieces, const std::string& where);
// The same over all pieces, kinds and scores aside, the first id first: how transformers reads a `tokenizer.model` for
// the Llama classes.
std::vector<Merge> merges_by_id(const std::vector<std::string>& tokens, const std::string& where);

// Ids 0 .. n-1.
Vocabulary vocabulary_of(const std::vector<std::string>& tokens, const std::string& where);

// Who else reads the pieces. They differ where a character map meets clusters, in the last bits of unigram sums, and in
// text that spells a control piece or U+2581.
enum class PiecesReader {
  kSentencePiece,  // the model's own library, and so what GGUF files mean
  kTransformers,   // a folder whose configuration names a class: `tokenizers` after transformers' conversion
};

// What the model's own settings ask for: character map, extra spaces, the space before a text (and, if `every_text`,
// before each text behind an added token too), and the decoder that takes it back.
PipelineJson pieces_pipeline(const SentencePieces& pieces, PiecesReader reader, bool every_text);
std::unique_ptr<TokenModel> pieces_model(const SentencePieces& pieces, PiecesReader reader, const std::string& where);

// Single steps, as tokenizer.json writes them.
Json replace_step(const char* kind, const std::string& pattern, const std::string& content);
Json metaspace_step(const char* scheme, bool split);
Json sequence_step(const char* member, std::vector<Json> steps);
// Applied by cluster; by the longest match but for the pattern `kept`, if one is given, be it empty.
Json precompiled_step(const std::string& charsmap, const std::string* kept = nullptr);
// The special tokens before and behind a text; null if there are none.
Json template_step(const std::vector<std::pair<std::string, TokenId>>& before,
                   const std::vector<std::pair<std::string, TokenId>>& after);

inline constexpr const char* kWordMark = "\xe2\x96\x81";  // U+2581

}  // namespace merit::text
