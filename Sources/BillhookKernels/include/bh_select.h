// The k smallest of n scores, exactly, without ever holding all of the scores.
//
// Scores are ordered by value, -0 equal to +0; equal scores by index, the lower one first. (NaN does
// no harm: with the sign bit clear it ranks above +infinity, else below -infinity.) The result is
// a function of the scores alone, whatever the threads, the pieces or the instruction set.
//
// The scores come in pieces, numbered from 0 in the order of their flat index, over as many passes
// as the selection asks for: one when a sample was given and was good, at most five.
//
//   bh_select *s = bh_select_create(n, k, pieces);
//   bh_select_sample(s, scores, count);              // for clusters of scores; optional
//   while (bh_select_next(s) == 1)
//     for each piece, on any threads: bh_select_add(s, piece, scores, count);
//   for each piece, on any threads: bh_select_prune(s, piece, scores, weights, out, count);
//   bh_select_destroy(s);
//
// Pointers need only the alignment of their type.
#ifndef BH_SELECT_H
#define BH_SELECT_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_select bh_select;

// A selection of the k smallest of n scores that arrive in `pieces` pieces.
//
// Memory: 32 bytes a piece, 4 bytes a sampled score, and 4 * min(n, max(n / 16, 1 Mi)) bytes, never
// above 64 MiB, for scores near the threshold. 16 Ki elements are a good piece: the scores stay in
// the cache. Null when 0 <= k <= n or pieces >= 0 does not hold, or without memory. [any]
bh_select *bh_select_create(int64_t n, int64_t k, int64_t pieces);

// Null is allowed. [any, not while another call uses s]
void bh_select_destroy(bh_select *s);

// Hands over a cluster of scores from one place of the flat range, before the first bh_select_next.
//
// Clusters should be spread evenly: about 4096 of 64 scores each bring the passes down to one for
// large n. They change the speed, never the result. A selection that needs no sample ignores them.
// [one thread at a time]
void bh_select_sample(bh_select *s, const float *scores, int64_t count);

// Ends a pass. Returns 1: hand over every piece once more; 0: the threshold is known; -1: the
// pieces of the pass did not hold n scores in all, or two passes did not agree.
// [one thread, not during a pass]
int32_t bh_select_next(bh_select *s);

// Takes the scores of one piece, each piece exactly once in a pass; count < 2^31. Returns 1 if one
// of them is NaN or infinite, else 0. [any, concurrently for different pieces]
int32_t bh_select_add(bh_select *s, int64_t piece, const float *scores, int64_t count);

// The same for scores that nobody needs afterwards: leaves NaN in the place of each. [as add]
int32_t bh_select_spend(bh_select *s, int64_t piece, float *scores, int64_t count);

// The k-th smallest score (-infinity for k = 0), and how many scores equal to it are among the k
// smallest. After bh_select_next returned 0. [any]
float bh_select_threshold(const bh_select *s);
int64_t bh_select_ties(const bh_select *s);

// out[i] = 0 where scores[i] is among the k smallest, else weights[i]. Returns the number of
// elements among the k smallest; over all pieces it is k if the scores are those of the last pass.
// out may be weights; scores may be neither. [any, concurrently for different pieces]
int64_t bh_select_prune(const bh_select *s, int64_t piece, const float *scores,
                        const float *weights, float *out, int64_t count);

// The same for scores that nobody needs afterwards: leaves NaN in the place of each, and sets
// `nonfinite` to 1 if one of them was NaN or infinite, else to 0. [as prune]
int64_t bh_select_spend_pruning(const bh_select *s, int64_t piece, float *scores,
                                const float *weights, float *out, int64_t count,
                                int32_t *nonfinite);

// keep[i] = 0 where scores[i] is among the k smallest, else 1. Returns the number of zeros. [any]
int64_t bh_select_keep(const bh_select *s, int64_t piece, const float *scores, uint8_t *keep,
                       int64_t count);

// All of the above for scores that lie in memory: keep[i] = 0 for the k smallest of n, else 1.
// Returns 0, or -1 when 0 <= k <= n does not hold or without memory. [any]
int32_t bh_select_smallest_f32(const float *scores, int64_t n, int64_t k, uint8_t *keep);
int32_t bh_select_smallest_f32_scalar(const float *scores, int64_t n, int64_t k, uint8_t *keep);

#ifdef __cplusplus
}
#endif
#endif
