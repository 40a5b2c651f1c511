"""Fingerprints of image files: tell whether a run is resumed on the images it began with, without reading them whole.

A fingerprint is `SIZE:HEX`: the file's size in bytes, and the BLAKE2b hash (64 bits) of its first, middle and last
4 KiB. Image files are compressed, so that a change of the picture changes nearly all bytes after it. Parquet needs
none: the hash of the question file covers its images.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b

from extract.images.decoding import find_image
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Unusable
from extract.questions.stored_images import StoredImages
from schemas.files.locations import Location, check_no_device

MOST_FINGERPRINTS = 2048  # images of a question set that get a fingerprint
_SAMPLE = 4096  # bytes
THREADS = 16  # that read; a network answers them side by side


def fingerprint_images(questions: QuestionSet) -> dict[str, str]:
    """The fingerprints of the images of a question set by name, of at most `MOST_FINGERPRINTS` of them, evenly spread.

    Images that do not exist or cannot be read are left out. Empty if the file of questions holds them.
    """
    folder = questions.images
    if folder is None or isinstance(folder, StoredImages):
        return {}
    names = sorted({name for sample in questions.samples for name in sample.images})
    some = names
    if len(names) > MOST_FINGERPRINTS:
        some = [names[number * len(names) // MOST_FINGERPRINTS] for number in range(MOST_FINGERPRINTS)]
    with ThreadPoolExecutor(THREADS) as pool:
        found = zip(some, pool.map(partial(_fingerprint, folder), some), strict=True)
        return {name: fingerprint for name, fingerprint in found if fingerprint is not None}


def _fingerprint(folder: Location, name: str) -> str | None:
    try:
        path = find_image(folder, name)
        check_no_device(path)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            digest = blake2b(digest_size=8)
            for start in (0, (size - _SAMPLE) // 2, size - _SAMPLE):
                file.seek(max(0, start))
                digest.update(file.read(_SAMPLE))
    except (Unusable, OSError, ValueError):  # the last of a name that is no path
        return None
    return f"{size}:{digest.hexdigest()}"
