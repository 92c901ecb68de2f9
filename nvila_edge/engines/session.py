"""Sessions: one instruction being followed. Every decision scores all ten actions in one pass over the language model.

The pass holds the newest frame and the answer tree (nvila_edge/engines/tree.py); logits are read where the grammar branches. The answer
is greedy over branches: the best verb, then the best amount of that verb; its probability is the product of the renormalised branch
probabilities.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nvila_edge.engines.cache import UNSEEN, Cache, NewKeyValues
from nvila_edge.engines.greedy import causal, continued
from nvila_edge.model.tokens import IMAGE_MARK
from nvila_edge.navigation.actions import ACTIONS, SENTENCES, Action
from nvila_edge.navigation.decision import Decision
from nvila_edge.navigation.steady import LOOKED_BACK, steadied

if TYPE_CHECKING:
    from nvila_edge.engines.engine import Engine


class Session(Protocol):
    """What `Engine.session` gives: one instruction being followed.

    Which tokens a decision takes is the profile's rule. `stream`: float [1, k, H], the newest frame alone; the session holds the earlier
    ones, so every frame is given once. `navila`: float [1..frames, k, H], the whole window of that decision, oldest first and the newest
    last, as navigation.window chooses it; black frames in front of a short history are left out, the session adds them.
    """

    def decide(self, tokens: np.ndarray, blocked: bool = False) -> Decision:
        """The answer to these tokens, which the session goes on from (`stream`). Raises ValueError for tokens of another shape.

        blocked: the last forward step met something (navigation/steady.py); the `navila` profile, as published, takes no notice.
        """
        ...

    def replay(self, tokens: np.ndarray, action: Action) -> Decision:
        """As `decide`, but the session goes on as if the answer had been `action`, one of ACTIONS: for what was executed instead, and to
        rebuild a lost session. Raises ValueError for another action."""
        ...

    def say(self, tokens: np.ndarray, max_new_tokens: int) -> Decision:
        """What the model answers to these tokens without the grammar, greedily: a Decision without action or candidates, whose probability is
        the text's. The session does not go on from it. Raises ValueError for tokens of another shape, and under `stream`, whose next
        frames need an answer of the grammar."""
        ...


def checked_tokens(engine: Engine, tokens: np.ndarray, most: int) -> np.ndarray:
    """The tokens as float32. Raises ValueError unless they are [1..most, k, H] and finite."""
    vision = engine.spec.vision
    wanted = (vision.tokens, vision.out_hidden)
    if tokens.ndim != 3 or tokens.shape[1:] != wanted or not 1 <= len(tokens) <= most:
        raise ValueError(
            f"tokens have shape {list(tokens.shape)}; this model takes [1..{most}, {wanted[0]}, {wanted[1]}]: "
            "encode frames with this engine"
        )
    if not np.isfinite(tokens).all():
        raise ValueError("tokens hold values that are not finite; encode the frame again")
    return tokens.astype(np.float32, copy=False)


def _decision(probabilities: np.ndarray, chosen: int, started_s: float) -> Decision:
    timing = {"language": (time.perf_counter() - started_s) * 1000}
    return Decision(ACTIONS[chosen], SENTENCES[chosen], float(probabilities[chosen]), tuple(float(p) for p in probabilities), timing)


class StreamSession:
    """The `stream` profile: the instruction's keys and values stay, those of the last `frames` blocks live in a ring of slots.

    A block is frame tokens, a line break and the answer. It sees the instruction and the last `frames` blocks, itself included. The end
    of an answer that the grammar forced is not run when it is given but as the beginning of the next pass ("pending"), where it still
    sees its own block's window.
    Replaying a decision runs exactly the pass that the decision ran: a rebuilt session answers bit for bit as the lost one would have.
    """

    def __init__(self, engine: Engine, instruction: str) -> None:
        self._engine, self._tree = engine, engine.tree
        opening = np.array(engine.prompt_ids(engine.profile.user_text(instruction)), np.int64)
        block = engine.spec.vision.tokens + 1 + self._tree.longest
        capacity = -(-(len(opening) + (engine.spec.frames + 1) * block) // 32) * 32
        self._cache = engine.backend.cache(capacity)
        self._opening = self._cache.take(len(opening))
        self._blocks: deque[list[int]] = deque()
        self._pending: list[int] = []
        self._past: list[int] = []  # indices in ACTIONS, of the last actions
        mask = np.concatenate([np.full((len(opening), capacity), UNSEEN), causal(len(opening))], 1)
        _, new = engine.backend.prefill(engine.embed(opening), np.arange(len(opening)), mask, self._cache, np.array([len(opening) - 1]))
        self._cache.write(new, list(range(len(opening))), self._opening)
        self._position = len(opening)

    def decide(self, tokens: np.ndarray, blocked: bool = False) -> Decision:
        """tokens float [1, k, H] of the newest frame. The answer becomes the block's; `replay` instead when another was executed.

        The candidates are the model's; the action is the best of them that a steady walker takes (navigation/steady.py).
        """
        return self._answer(tokens, None, blocked)

    def replay(self, tokens: np.ndarray, action: Action) -> Decision:
        """What the model answers to tokens [1, k, H], going on as if it had been `action`, one of ACTIONS. Raises ValueError for another
        action.
        """
        if action not in ACTIONS:
            raise ValueError(f"{action} is not one of the ten actions; a session can only replay what it could have answered")
        return self._answer(tokens, ACTIONS.index(action), blocked=False)

    def say(self, tokens: np.ndarray, max_new_tokens: int) -> Decision:
        """Raises ValueError."""
        raise ValueError("a model of the stream profile answers within the grammar only; ask it with the agent 'ours'")

    def _answer(self, tokens: np.ndarray, forced: int | None, blocked: bool) -> Decision:
        started = time.perf_counter()
        logits, new = self._run(tokens)
        probabilities = self._tree.trie.probabilities(logits)
        chosen = self._tree.trie.choose(steadied(probabilities, self._past, blocked))
        executed = chosen if forced is None else forced
        self._past = [*self._past[-LOOKED_BACK:], executed]
        self._commit(new, executed)
        return _decision(probabilities, chosen, started)

    def _run(self, tokens: np.ndarray) -> tuple[np.ndarray, NewKeyValues]:
        """Logits [branches, vocab] and the new keys and values of pending answer, frame block and tree."""
        engine, tree = self._engine, self._tree
        frame = checked_tokens(engine, tokens, most=1)[0]
        embeds = np.concatenate([engine.embed(self._pending), frame, engine.newline, engine.embed(tree.tokens)])
        fixed = len(embeds) - len(tree)
        positions = self._position + np.concatenate([np.arange(fixed), fixed + tree.depths])
        reads = np.where(tree.reads < 0, fixed - 1, fixed + tree.reads)
        return engine.backend.prefill(embeds, positions, self._mask(fixed), self._cache, reads)

    def _mask(self, fixed: int) -> np.ndarray:
        """[T, capacity + T]: pending rows see their own block's window, the rest one block less of the past; tree rows see their
        ancestors.
        """
        pending, width = len(self._pending), fixed + len(self._tree)
        past = np.full((width, self._cache.capacity), UNSEEN)
        past[:, self._opening] = 0
        for age, block in enumerate(reversed(self._blocks), start=1):  # age 1: the block before the new one
            past[:pending, block] = 0
            if age < self._engine.spec.frames:
                past[pending:, block] = 0
        own = causal(width)
        own[fixed:, fixed:] = np.where(self._tree.sees, np.float32(0), UNSEEN)
        return np.concatenate([past, own], 1)

    def _commit(self, new: NewKeyValues, action: int) -> None:
        """Keep pending answer, frame and the chosen path; forget the block that no later row can see."""
        pending = len(self._pending)
        fixed = pending + self._engine.spec.vision.tokens + 1
        rows, rest = self._tree.split(action)
        if pending:
            tail = self._cache.take(pending)
            self._cache.write(new, list(range(pending)), tail)
            self._blocks[-1].extend(tail)
        if len(self._blocks) == self._engine.spec.frames:
            self._cache.release(self._blocks.popleft())
        kept = [*range(pending, fixed), *(fixed + row for row in rows)]
        slots = self._cache.take(len(kept))
        self._cache.write(new, kept, slots)
        self._blocks.append(slots)
        self._position += fixed + len(rows)
        self._pending = rest


class WindowSession:
    """The `navila` profile: the whole prompt anew for every decision, but for the text before the first frame and that frame, whose keys and values are kept.

    The first frame of a window is the same for nearly all of an episode: black until the history is as long as the window, the very first one from then on.
    The passes are split at the same place whether it has changed or not, so that an answer depends on nothing but its window, to the bit.
    """

    def __init__(self, engine: Engine, instruction: str) -> None:
        self._engine = engine
        chunks = engine.tokenizer.prompt(engine.profile.user_text(instruction))
        after_first = 1 + next(i for i, chunk in enumerate(chunks) if chunk.media)
        self._opening, self._rest = chunks[:after_first], chunks[after_first:]
        assert sum(chunk.media == IMAGE_MARK for chunk in chunks) == engine.spec.frames
        self._first = engine.black_tokens
        self._cache = self._opened(self._first)

    def _opened(self, first: np.ndarray) -> Cache:
        """Keys and values of the text before the first frame and of that frame, tokens [k, H]."""
        engine = self._engine
        embeds = engine.fuse(self._opening, iter([engine.media.image_block(first)]))
        n = len(embeds)
        cache = engine.backend.cache(n)
        mask = np.concatenate([np.full((n, n), UNSEEN), causal(n)], 1)
        _, new = engine.backend.prefill(embeds, np.arange(n), mask, cache, np.array([n - 1]))
        cache.write(new, list(range(n)), cache.take(n))
        return cache

    def decide(self, tokens: np.ndarray, blocked: bool = False) -> Decision:
        """tokens float [1..frames, k, H], oldest first; shorter histories are padded with black frames in front, as the checkpoints were
        trained.
        """
        started = time.perf_counter()
        engine, tree = self._engine, self._engine.tree
        first, *others = self._frames(tokens)
        if not np.array_equal(first, self._first):
            self._first, self._cache = first.copy(), self._opened(first)
        frames = (engine.media.image_block(frame) for frame in others)
        embeds = np.concatenate([engine.fuse(self._rest, frames), engine.embed(tree.tokens)])
        fixed, past = len(embeds) - len(tree), self._cache.capacity
        positions = past + np.concatenate([np.arange(fixed), fixed + tree.depths])
        own = causal(len(embeds))
        own[fixed:, fixed:] = np.where(tree.sees, np.float32(0), UNSEEN)
        mask = np.concatenate([np.zeros((len(embeds), past), np.float32), own], 1)
        reads = np.where(tree.reads < 0, fixed - 1, fixed + tree.reads)
        logits, _ = engine.backend.prefill(embeds, positions, mask, self._cache, reads)
        probabilities = tree.trie.probabilities(logits)
        return _decision(probabilities, tree.trie.choose(probabilities), started)

    def replay(self, tokens: np.ndarray, action: Action) -> Decision:
        """As `decide`: a window holds all that a decision depends on."""
        return self.decide(tokens)

    def say(self, tokens: np.ndarray, max_new_tokens: int) -> Decision:
        """tokens as `decide` takes them; the whole prompt is prefilled, since its keys and values are needed for every token to come."""
        started = time.perf_counter()
        blocks = (self._engine.media.image_block(frame) for frame in self._frames(tokens))
        embeds = self._engine.fuse([*self._opening, *self._rest], blocks)
        text, probability = continued(self._engine, embeds, max_new_tokens)
        return Decision(None, text, probability, timing_ms={"language": (time.perf_counter() - started) * 1000})

    def _frames(self, tokens: np.ndarray) -> list[np.ndarray]:
        """As many frames as the window has, black ones in front of a short history."""
        tokens = checked_tokens(self._engine, tokens, most=self._engine.spec.frames)
        return [*[self._engine.black_tokens] * (self._engine.spec.frames - len(tokens)), *tokens]
