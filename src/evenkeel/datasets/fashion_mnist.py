"""Fashion-MNIST: 70,000 pictures of clothes, 28 x 28 pixels, 10 classes.

Looked for in the cache folder first, then where the system puts it (Debian's package
`dataset-fashion-mnist`), then downloaded. Every file is verified before it is read.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from evenkeel import caching
from evenkeel.alignment import converted
from evenkeel.datasets.registry import Dataset, Entry, enrol
from evenkeel.errors import DatasetUnavailableError, explain

Pair = tuple[np.ndarray, np.ndarray]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
# The host speaks plain HTTP only; what arrives is verified by its SHA-256.
BASE_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

# SHA-256 of the decompressed content: the same whichever program compressed it.
CONTENT_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "train-labels-idx1-ubyte.gz": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}


def load_data() -> tuple[Pair, Pair]:
    """Returns (x_train, y_train), (x_test, y_test).

    Returns:
        Images (60000, 28, 28) and (10000, 28, 28), uint8 from 0 to 255; labels, uint8 from 0
        to 9.

    Raises:
        DatasetUnavailableError: If the files are nowhere and cannot be downloaded, or damaged.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()  # doctest: +SKIP
        >>> x_train.shape  # doctest: +SKIP
        (60000, 28, 28)

    References:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
        Learning Algorithms", 2017. https://arxiv.org/abs/1708.07747
    """
    # Decompressing and hashing run side by side: Python's lock is not held while they do.
    with ThreadPoolExecutor(len(CONTENT_SHA256)) as pool:
        contents = pool.map(_content, CONTENT_SHA256)
        images_train, labels_train, images_test, labels_test = contents
    return (
        (_idx(images_train), _idx(labels_train)),
        (_idx(images_test), _idx(labels_test)),
    )


def cache_folder() -> Path:
    """Returns where downloads are kept, in evenkeel's cache folder.

    Example:
        >>> cache_folder().name
        'fashion-mnist'
    """
    return caching.cache_folder("datasets") / "fashion-mnist"


def _content(name: str) -> bytes:
    """Returns a file's decompressed, verified content, from the first place that has it."""
    for folder in (cache_folder(), SYSTEM_FOLDER):
        path = folder / name
        if path.is_file():
            return _verified(path)
    return _verified(_download(name))


def _verified(path: Path) -> bytes:
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"cannot be decompressed ({error})") from None
    if hashlib.sha256(content).hexdigest() != CONTENT_SHA256[path.name]:
        raise _damaged(path, "does not match its checksum")
    return content


def _damaged(path: Path, problem: str) -> DatasetUnavailableError:
    return DatasetUnavailableError(
        explain(f"{path} {problem}.", f"Delete it and try again: rm {path}")
    )


def _download(name: str) -> Path:
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it would print the hash that is checked here anyway
    try:
        # The content is verified after decompression, whichever way the file came here.
        fetched = pooch.retrieve(
            url=BASE_URL + name, known_hash=None, fname=name, path=cache_folder(), progressbar=False
        )
    except Exception as error:  # whatever the network throws, the advice is the same
        raise DatasetUnavailableError(
            explain(
                f"Fashion-MNIST: {name} is neither in {cache_folder()} nor in {SYSTEM_FOLDER}, and "
                f"downloading it failed ({type(error).__name__}).",
                "On Debian or Ubuntu: apt-get install dataset-fashion-mnist. Elsewhere: download "
                f"the four files {', '.join(CONTENT_SHA256)} on a connected machine and put them "
                f"into {cache_folder()}. Or use the data set that is always at hand: digits.",
            )
        ) from error
    return Path(fetched)


def _idx(content: bytes) -> np.ndarray:
    """Decodes the IDX format: a magic number with the rank, the sizes, the bytes."""
    rank = content[3]
    sizes = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    # Writable, and where the device can use it without a copy.
    return converted(np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes), np.uint8)


def _is_at_hand() -> bool:
    folders = (cache_folder(), SYSTEM_FOLDER)
    return all(any((folder / name).is_file() for folder in folders) for name in CONTENT_SHA256)


def _load() -> Dataset:
    (x_train, y_train), (x_test, y_test) = load_data()
    return Dataset(
        name="fashion-mnist",
        task="classification",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        class_names=CLASS_NAMES,
        pixel_range=255.0,
    )


enrol(
    Entry(
        name="fashion-mnist",
        description="70,000 pictures of clothes, 28 x 28 pixels, 10 classes; 30 MB",
        load=_load,
        is_at_hand=_is_at_hand,
    )
)
