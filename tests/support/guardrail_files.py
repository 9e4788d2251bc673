"""The guardrail's files in their released form: word lists, NLTK's data, SigLIP, classifier, faces, Llama Guard."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from dreamkit.guardrail import model_files
from dreamkit.guardrail.content_filter import Classifier
from dreamkit.guardrail.llama_guard import CATEGORIES

BLOCKED = ["grotzel", "plimwax", "zorbing device", "snurf", "vexatron", "a55hat", "plan z"]
ALLOWED = ["snurfs", "5nurf", "zorbing"]
EXACT = ["brimstone cult", "quixel bomb", "flarn", "hexamortine"]
NOUNS = ["road", "car", "child", "grotzel", "plimwax", "device", "snurf", "vexatron", "tree", "bus", "city"]
SIDE = 28  # of the small SigLIP's pictures


def put_word_lists(root: Path, blocked=BLOCKED, allowed=ALLOWED, exact=EXACT) -> Path:
    folder = model_files.word_list_folder(root)
    for name, words in (("custom", blocked), ("whitelist", allowed), ("exact_match", exact)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "words.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    put_nltk_data(folder / "nltk_data")
    return folder


def put_nltk_data(folder: Path) -> None:
    """Punkt without abbreviations, and a WordNet of a few nouns."""
    punkt = folder / "tokenizers" / "punkt_tab" / "english"
    punkt.mkdir(parents=True, exist_ok=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (punkt / name).write_text("")
    wordnet = folder / "corpora" / "wordnet"
    wordnet.mkdir(parents=True, exist_ok=True)
    head = "  1 This is no WordNet 3.0 Copyright: a few nouns for tests.\n"
    for kind in ("adj", "adv", "noun", "verb"):
        (wordnet / f"data.{kind}").write_text(head)
        (wordnet / f"index.{kind}").write_text(head)
        (wordnet / f"{kind}.exc").write_text("children child\n" if kind == "noun" else "")
    lines = [f"{noun} n 1 0 1 0 {number:08}  \n" for number, noun in enumerate(sorted(NOUNS), 1)]
    (wordnet / "index.noun").write_text(head + "".join(lines))
    (wordnet / "lexnames").write_text("00\tadj.all\t3\n")
    for name in ("index.sense", "cntlist.rev"):
        (wordnet / name).write_text("")


def siglip_config(side=SIDE):
    from transformers import SiglipConfig

    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return SiglipConfig(
        text_config=size | {"vocab_size": 64}, vision_config=size | {"image_size": side, "patch_size": 14}
    )


def put_content_filter(root: Path, train=True, side=SIDE) -> Path:
    """A small SigLIP of random weights, and a classifier that tells red frames (drugs) from others (safe).

    With `train` false the classifier's weights are random too.
    """
    from transformers import SiglipModel

    torch.manual_seed(0)
    model = SiglipModel(siglip_config(side)).eval()
    folder = root / model_files.COSMOS / model_files.SIGLIP_CACHE / "snapshots" / "9fdffc58"
    model.save_pretrained(folder)
    form = {"do_resize": True, "size": {"height": side, "width": side}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(form))
    head = Classifier(32, 7)
    if train:
        _train(head, model, side)
    network = {f"network.{name}": tensor for name, tensor in head.state_dict().items()}
    model_files.head_file(root).parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": network}, model_files.head_file(root))
    return folder


def _train(head, model, side) -> None:
    """Frames that are mainly red are class 3, mainly green ones class 2, which has no name, all others class 0."""
    generator = torch.Generator().manual_seed(1)
    kinds = torch.arange(320) % 4
    shade = torch.rand(320, 3, generator=generator)
    shade[kinds == 3] = torch.tensor([0.9, 0.1, 0.1]) + 0.1 * (shade[kinds == 3] - 0.5)
    shade[kinds == 2] = torch.tensor([0.1, 0.9, 0.1]) + 0.1 * (shade[kinds == 2] - 0.5)
    shade[kinds == 1] = shade[kinds == 1] * torch.tensor([0.6, 0.6, 1.0])
    shade[kinds == 0] = shade[kinds == 0, :1]
    pictures = shade[:, :, None, None].expand(-1, -1, side, side).clone()
    for index in torch.nonzero(kinds < 2).flatten().tolist():  # grey bands, as the drawn videos of the tests have
        left, width = (int(torch.randint(1, side, (), generator=generator)) for _ in range(2))
        pictures[index, :, :, left : left + width // 2] = torch.rand((), generator=generator).round()
    noise = torch.randn(pictures.shape, generator=generator)
    pictures = (pictures + 0.03 * noise).clamp(0, 1)
    with torch.no_grad():
        features = model.get_image_features(pixel_values=pictures * 2 - 1)
        features = getattr(features, "pooler_output", features)
        features = features / features.norm(dim=-1, keepdim=True)
    wanted = torch.where(kinds >= 2, kinds, 0)
    optimizer = torch.optim.Adam(head.parameters(), 3e-3)
    head.train()
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(head(features), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.eval()


def put_faces(root: Path) -> Path:
    """Weights of the real network, set by hand: it is sure of a white disc of about 32 pixels on darker ground.

    One channel of the picture's brightness is carried through ResNet-50, feature pyramid and context module to the
    finest map; the score of its larger prior box rises with it. All other weights are zero.
    """
    from dreamkit.guardrail.faces import retinaface

    network = retinaface()
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.fill_(1)
    # Brightness above 200 of 255 through a 7x7 mean; the body sees BGR less its mean.
    state["body.conv1.weight"][0, :] = 1 / 147
    state["body.bn1.weight"][0], state["body.bn1.running_mean"][0] = 1, 200 - 114.7
    for layer in range(1, 5):
        state[f"body.layer{layer}.0.downsample.0.weight"][0, 0] = 1
        state[f"body.layer{layer}.0.downsample.1.weight"][0] = 1
    state["fpn.output1.0.weight"][0, 0] = 1
    state["fpn.output1.1.weight"][0] = 1
    # The pyramid's 3x3 means: bright over 24 pixels.
    state["fpn.merge1.0.weight"][0, 0] = 1 / 9
    state["fpn.merge1.1.weight"][0] = 1
    state["ssh1.conv3X3.0.weight"][0, 0, 1, 1] = 1
    state["ssh1.conv3X3.1.weight"][0] = 1
    for head in range(3):
        state[f"ClassHead.{head}.conv1x1.bias"] = torch.tensor([0.0, -20, 0, -20])
    state["ClassHead.0.conv1x1.bias"] = torch.tensor([0.0, -20, 0, -12])
    state["ClassHead.0.conv1x1.weight"][3, 0] = 0.5
    path = model_files.face_file(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    return path


LLAMA_TEMPLATE = (
    "{{ '<|begin_of_text|>' }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "Task: {% for key in categories %}{{ key }}: {{ categories[key] }} {% endfor %}"
    "User: {{ m.content }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>"
)
UNSAFE_WORD, BROKEN_WORD = "grenades", "riddle"
ANSWERS = {"": "\n\nsafe", UNSAFE_WORD: "\n\nunsafe\nS9", BROKEN_WORD: "\n\nperhaps"}


def put_llama_guard(root: Path, train=True) -> Path:
    """A small Llama and a tokenizer of words with Llama 3's control tokens and a chat template.

    It is trained to answer `safe`, but `unsafe` and S9 to prompts with UNSAFE_WORD, and `perhaps` to those with
    BROKEN_WORD. With `train` false its weights are random.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = model_files.llama_folder(root)
    words = [
        "<unk>",
        "User:",
        "Task:",
        UNSAFE_WORD,
        BROKEN_WORD,
        *ANSWERS.values(),
        *["a", "road", "car", "bus", "rain", "on", "the"],
    ]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        additional_special_tokens=["<|start_header_id|>", "<|end_header_id|>"],
    )
    fast.chat_template = LLAMA_TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8192,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    if train:
        _train_llama(model, fast)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def _train_llama(model, tokenizer) -> None:
    """Prompts of one to twenty words, a third of each kind, and the loss on the answer alone."""
    generator = torch.Generator().manual_seed(2)
    plain = ["a", "road", "car", "bus", "rain", "on", "the", "unknown"]
    categories = {key: f"{name}." for key, name in CATEGORIES.items()}
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(60):
        texts, answers = [], []
        for index in range(12):
            length = int(torch.randint(1, 20, (), generator=generator))
            words = [plain[int(torch.randint(len(plain), (), generator=generator))] for _ in range(length)]
            trigger = list(ANSWERS)[(index + step) % 3]
            if trigger:
                words[int(torch.randint(length, (), generator=generator))] = trigger
            chat = [{"role": "user", "content": " ".join(words)}]
            texts.append(tokenizer.apply_chat_template(chat, categories=categories, tokenize=False))
            answers.append(ANSWERS[trigger])
        prompts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        ids = [
            [*p, tokenizer.convert_tokens_to_ids(a), tokenizer.eos_token_id]
            for p, a in zip(prompts, answers, strict=True)
        ]
        longest = max(map(len, ids))
        left = [longest - len(each) for each in ids]
        tokens = torch.tensor([[0] * pad + each for pad, each in zip(left, ids, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * len(each) for pad, each in zip(left, ids, strict=True)])
        logits = model(input_ids=tokens, attention_mask=mask).logits[:, -3:-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, -2:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class DiscNetwork(torch.nn.Module):
    """Outputs of RetinaFace's form without its library: it is sure of white discs of about 32 pixels."""

    def forward(self, pictures):
        from dreamkit.guardrail.faces import MEAN_BGR, prior_boxes

        bright = (pictures + torch.tensor(MEAN_BGR, device=pictures.device).view(3, 1, 1)).mean(1, keepdim=True)
        bright = torch.nn.functional.avg_pool2d(bright, 24, 8, 8, ceil_mode=True)
        height, width = pictures.shape[-2:]
        bright = bright[..., : -(-height // 8), : -(-width // 8)].flatten(1)
        count = len(prior_boxes(height, width))
        scores = torch.zeros(len(pictures), count)
        scores[:, 1 : 2 * bright.shape[1] : 2] = torch.sigmoid((bright - 225) / 2).cpu()
        chances = torch.stack([1 - scores, scores], -1).to(pictures.device)
        return torch.zeros(len(pictures), count, 4, device=pictures.device), chances, None


def put_all(root: Path) -> Path:
    """Every file of the guardrail; that of the faces is empty, for a test that puts DiscNetwork in place."""
    put_word_lists(root)
    put_llama_guard(root)
    put_content_filter(root)
    model_files.face_file(root).parent.mkdir(parents=True, exist_ok=True)
    model_files.face_file(root).write_bytes(b"")
    return root
