"""Codes of faults in labelled images: their files, boxes, classes and pixels."""

from __future__ import annotations

from faster_rcnn.error_codes.code import ErrorCode

OF_DATA = (
    ErrorCode(
        "E101",
        "No labelled images were found",
        "A file or folder does not exist, holds no annotations of a known format, or holds several files that could be "
        "meant. Nothing was downloaded.",
        "data/cell does not exist. Nearby: cells. Nothing was downloaded",
        "Correct the path, or name the part that is meant with --set data.train=FILE and --set data.val=FILE.",
    ),
    ErrorCode(
        "E102",
        "A file of labels cannot be read",
        "The file is not valid JSON, XML, YAML or CSV, or is not text in its encoding. The message names the place.",
        "data/train.json is not valid JSON at line 40213 column 17: Expecting ',' delimiter; the text ends in the "
        "middle of a record, was the copy interrupted?",
        "Copy or export the file again, or correct the named place. Text files are read as UTF-8.",
    ),
    ErrorCode(
        "E103",
        "A file of labels has other contents than its format",
        "The file can be read, but fields or columns are missing, values have the wrong type, or it belongs to another "
        "tool or another data set.",
        "train.json: 8 of 8 annotations belong to no image of its 'images' list: annotation id 0 (image_id 1000); the "
        "lists are not of one data set",
        "Export the labels as COCO JSON, Pascal VOC XML, YOLO or CSV, and correct the entry that the message names.",
    ),
    ErrorCode(
        "E104",
        "An image or its label file is missing, or is not the only candidate",
        "A listed image does not exist or cannot be read, has no label file, or several files fit its name. Up to 5 % "
        "of the images of a split are left out and listed; more end the command.",
        "012.png does not exist (a file '012.PNG' exists: letter case?)",
        "Give files the names that the labels use, or name the folder of the images with --set data.images=FOLDER.",
    ),
    ErrorCode(
        "E105",
        "An image cannot be decoded",
        "The file is damaged, truncated, not an image, or of a format that is not read. Up to 5 % of the images of a "
        "split are left out and listed; more end the command.",
        "cannot decode 001.png: damaged or truncated after 38,912 bytes",
        "Copy the file again, save it as JPEG or PNG, or remove it from the data.",
    ),
    ErrorCode(
        "E106",
        "The size of an image differs from its labels",
        "Labels or results give another width and height than the decoded image has, so the boxes would be misplaced. "
        "Sizes are compared after the EXIF orientation is applied. Up to 5 % of the images of a split are left out.",
        "000.png is 50x40, but train.json has 100x80: its boxes may be for another version of the image",
        "Use the images that were labelled, or correct the boxes together with the size.",
    ),
    ErrorCode(
        "E107",
        "A box has no area",
        "Width or height is zero or negative, or less than a hundredth of a pixel inside the image. Up to 1 % of the "
        "boxes of a split are dropped and listed; more end the command.",
        "train.json annotation id 0 in 000.png has no visible area, the image is 100x80; dropped",
        "Correct or remove the box in the file. A negative side often means that corners were written as sizes.",
    ),
    ErrorCode(
        "E108",
        "A box lies outside its image",
        "A box that leaves its image by more than a pixel is clipped, one that lies fully outside is dropped. Up to "
        "1 % of the boxes of a split are treated so and listed; more end the command.",
        "train.json annotation id 0 in 000.png (xywh = [90, 30, 15, 5]) sticks out by 5 pixels, the image is 100x80; "
        "clipped",
        "Correct the box, or check whether it was drawn on an image of another size.",
    ),
    ErrorCode(
        "E109",
        "Boxes are written in the order of another format",
        "Read as the format demands, most boxes leave their image; read as corners instead of sizes, or the reverse, "
        "they fit.",
        "train.json: boxes look like [x1, y1, x2, y2], but COCO means [x, y, width, height]: read as xywh 100% leave "
        "the image or have no area, read as xyxy 0%, e.g. annotation id 0 in 000.png: [30, 50, 60, 75]. Convert the "
        "numbers in the file; nothing was started",
        "Convert the four numbers of each box to the order of the format.",
    ),
    ErrorCode(
        "E110",
        "Boxes are shares of the image where pixels are expected",
        "No box of the file has a number above 1, so they are relative to the width and height of the image.",
        "train.json: none of 8 boxes has a value above 1, e.g. annotation id 0 in 000.png: [0.1, 0.2, 0.3, 0.4]; they "
        "are shares of the image in a format of pixels. Multiply them by the image's width and height in the file",
        "Multiply x and width by the width of the image, y and height by its height.",
    ),
    ErrorCode(
        "E111",
        "A YOLO label is out of range",
        "A class id has no name in the YAML file, the number of names differs from nc, or boxes are in pixels where "
        "YOLO demands shares of the image.",
        "labels/7.txt line 3: class 12, but data.yaml names 5 classes (0-4); add the name to data.yaml or correct the "
        "line",
        "Classes count from 0. Correct the names in the YAML file, or the numbers in the label files.",
    ),
    ErrorCode(
        "E112",
        "A class is not declared",
        "Labels or results use a class id or name that the data does not declare.",
        "train.json: 41 annotations use a category_id that is not in 'categories': 0 (annotation id 3 of 001.png); "
        "declared are 1, 2. Ids may be any numbers, but each must be declared in the file",
        "Add the class to the 'categories' of the file, or correct the id.",
    ),
    ErrorCode(
        "E113",
        "A name or an id occurs twice",
        "Two images or two classes share an id or a name, so it is not clear what a label belongs to.",
        "train.json: 2 categories have the name 'cat' (ids 1, 2); give each its own name in the file",
        "Give each image and each class its own id and name.",
    ),
    ErrorCode(
        "E114",
        "The class 'background' has boxes",
        "Background is every place without an object and is built in. A declared background without boxes is ignored.",
        "the class 'background' has 4 boxes, but background is every place without an object and is built in; if "
        "it is a real class, rename it in train.json, else remove those boxes",
        "Rename the class, or remove its boxes.",
    ),
    ErrorCode(
        "E115",
        "Nothing is left to train on or to measure",
        "A split has no images, no usable image, no object or no class.",
        "nothing to train on: the 4 images of train have no object, only 8 that are ignored (crowd or difficult)",
        "Add labelled images, mend the faults that were listed before, or name another split.",
    ),
    ErrorCode(
        "E116",
        "Training and validation have different classes",
        "The class lists of two splits differ in names or ids, so an evaluation would be wrong.",
        "class lists differ: only in train {2 dog}; only in val {2 lorry}. Evaluation would score them 0; make the "
        "annotations of train.json and val.json agree",
        "Declare the same classes with the same ids in both files.",
    ),
    ErrorCode(
        "E118",
        "A box or a score is not made of finite numbers",
        "A box needs four finite numbers, corners in the right order and a class name, a score one finite number. Up "
        "to 1 % of the boxes of a split are dropped and listed; more end the command.",
        "results.json record 1: a box must be four finite numbers [x, y, width, height], not [1, 2, 3]",
        "Correct or remove the named box.",
    ),
    ErrorCode(
        "E119",
        "The values of an image have no known range",
        "Floating-point and 32-bit images do not state which value is white, so none becomes an 8-bit image.",
        "scan.tif holds floats, whose range is not known; save it with 8 or 16 bits",
        "Convert the image to 8 or 16 bits per channel.",
    ),
    ErrorCode(
        "E120",
        "An image is too large",
        "The image has more pixels than data.max_pixels, is too long for exact boxes or for a JPEG, or is so narrow "
        "that resizing leaves nothing. Where memory is short for one image the exit code is 5.",
        "map.png has 30000x20000 = 600,000,000 pixels, more than the limit of 178,956,970; if it is genuine, raise it: "
        "--set data.max_pixels=600000000",
        "Raise the limit if the image is genuine, predict in tiles with --tile, or make the image smaller.",
        (2, 5),
    ),
)
