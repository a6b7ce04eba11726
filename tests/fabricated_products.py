"""Miniatures of products of one file a band, after the published formats."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

SENTINEL2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
METRES = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B01": 60, "B09": 60, "B10": 60}
SIDE_METRES = 1200
CORNER = (6e5, 5e6)

SENTINEL2_METADATA = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-15.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>2024-06-01T10:10:31.024Z</PRODUCT_START_TIME>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
      <Product_Organisation><Granule_List><Granule granuleIdentifier="G" imageFormat="JPEG2000">
{files}
      </Granule></Granule_List></Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
{numbers}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level}_User_Product>
"""


def write_sentinel2(folder: Path, level="2A", baseline="05.10", seed=0, offsets=None, clouds=None) -> Path:
    """Write a Sentinel-2 product of 120 x 120 pixels of 10 m; a corner is no data.

    Args:
        folder: in which its folder is made.
        level: ``1C`` or ``2A``.
        baseline: of processing; from 04.00 on the values have an offset of 1000.
        seed: of the values.
        offsets: whether the metadata give offsets; None: as the baseline has it.
        clouds: (60, 60) values of the scene classification; None: vegetation.

    Returns:
        The product's folder.
    """
    product = folder / f"S2A_MSIL{level}_20240601T101031_N0510_R022_T32TQM_20240601T151200.SAFE"
    images = product / "GRANULE" / f"L{level}_T32TQM_A046700_20240601T101559" / "IMG_DATA"
    rng = np.random.default_rng(seed)
    new = float(baseline) >= 4
    names = []
    for number, band in enumerate(SENTINEL2_BANDS):
        if level == "2A" and band == "B10":
            continue
        native = METRES.get(band, 20)
        for metres in (10, 20, 60) if level == "2A" and band == "B02" else (native,):
            side = SIDE_METRES // metres
            values = (
                rng.integers(20, 40, (side, side))
                if band == "B10"
                else rng.integers(1200, 1400, (side, side)) + 100 * number
            )
            values += 1000 if new else 0
            values[: side // 4, : side // 4] = 0
            stem = f"T32TQM_20240601T101031_{band}" + (f"_{metres}m" if level == "2A" else "")
            path = images / (f"R{metres}m" if level == "2A" else "") / f"{stem}.jp2"
            _write_jp2(path, values, metres)
            names.append(path.relative_to(product).with_suffix("").as_posix())
    if level == "2A":
        path = images / "R20m" / "T32TQM_20240601T101031_SCL_20m.jp2"
        _write_jp2(path, np.full((60, 60), 4) if clouds is None else clouds, 20, "uint8")
        names.append(path.relative_to(product).with_suffix("").as_posix())
    has_offsets = new if offsets is None else offsets
    (product / f"MTD_MSIL{level}.xml").write_text(
        SENTINEL2_METADATA.format(
            level=level,
            baseline=baseline,
            files="\n".join(f"<IMAGE_FILE>{name}</IMAGE_FILE>" for name in names),
            numbers=_sentinel2_numbers(level, has_offsets),
        )
    )
    return product


def _sentinel2_numbers(level: str, has_offsets: bool) -> str:
    tag = "BOA_ADD_OFFSET" if level == "2A" else "RADIO_ADD_OFFSET"
    offsets = "".join(f'<{tag} band_id="{number}">-1000</{tag}>' for number in range(13)) if has_offsets else ""
    if level == "1C":
        unit = '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
        return f"{unit}<Radiometric_Offset_List>{offsets}</Radiometric_Offset_List>"
    unit = '<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>'
    quantification = f"<QUANTIFICATION_VALUES_LIST>{unit}</QUANTIFICATION_VALUES_LIST>"
    return f"{quantification}<BOA_ADD_OFFSET_VALUES_LIST>{offsets}</BOA_ADD_OFFSET_VALUES_LIST>"


def _write_jp2(path: Path, values: np.ndarray, metres: float, dtype="uint16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, values, metres, dtype, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES")


def _write(path: Path, values: np.ndarray, metres: float, dtype: str, **profile) -> None:
    with rasterio.open(
        path, "w", height=values.shape[0], width=values.shape[1], count=1, dtype=dtype, crs="EPSG:32632",
        transform=Affine(metres, 0, CORNER[0], 0, -metres, CORNER[1]), **profile,
    ) as dataset:  # fmt: skip
        dataset.write(values.astype(dtype), 1)


LANDSAT_METADATA = """GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{stem}"
    PROCESSING_LEVEL = "{level}"
    COLLECTION_NUMBER = {collection}
{files}
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
    DATE_ACQUIRED = 2022-07-19
    SCENE_CENTER_TIME = "10:09:52.1234560Z"
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
{surface}
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
    TEMPERATURE_MULT_BAND_ST_B10 = 0.00341802
    TEMPERATURE_ADD_BAND_ST_B10 = 149.0
  END_GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
{top}
  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def write_landsat(folder: Path, level="L2SP", collection="02", quality=None) -> Path:
    """Write a Landsat 8 product of 40 x 40 pixels of 30 m.

    Args:
        folder: in which its folder is made.
        level: ``L2SP`` or ``L1TP``.
        collection: number.
        quality: (40, 40) pixel qualities; None: clear.

    Returns:
        The product's folder.
    """
    stem = f"LC08_{level}_193024_20220719_20220726_02_T1"
    product = folder / stem
    product.mkdir(parents=True)
    rng = np.random.default_rng(1)
    second = level.startswith("L2")
    numbers = [*range(1, 8)] if second else [*range(1, 12)]
    files = {}
    for number in numbers:
        side, metres = (80, 15) if number == 8 and not second else (40, 30)
        files[f"FILE_NAME_BAND_{number}"] = file = f"{stem}_{'SR_' if second else ''}B{number}.TIF"
        values = (
            rng.integers(25000, 26000, (side, side)) if number in (10, 11) else rng.integers(9000, 12000, (side, side))
        )
        _write(product / file, values, metres, "uint16", driver="GTiff")
    if second:
        files["FILE_NAME_BAND_ST_B10"] = file = f"{stem}_ST_B10.TIF"
        _write(product / file, rng.integers(42000, 44000, (40, 40)), 30, "uint16", driver="GTiff")
    files["FILE_NAME_QUALITY_L1_PIXEL"] = file = f"{stem}_QA_PIXEL.TIF"
    _write(product / file, np.full((40, 40), 21824) if quality is None else quality, 30, "uint16", driver="GTiff")
    top = [
        f"    REFLECTANCE_MULT_BAND_{n} = 2.0000E-05\n    REFLECTANCE_ADD_BAND_{n} = -0.100000" for n in range(1, 10)
    ]
    top += [f"    RADIANCE_MULT_BAND_{n} = 3.3420E-04\n    RADIANCE_ADD_BAND_{n} = 0.10000" for n in (10, 11)]
    surface = [f"    REFLECTANCE_MULT_BAND_{n} = 2.75e-05\n    REFLECTANCE_ADD_BAND_{n} = -0.2" for n in range(1, 8)]
    (product / f"{stem}_MTL.txt").write_text(
        LANDSAT_METADATA.format(
            stem=stem,
            level=level,
            collection=collection,
            files="\n".join(f'    {key} = "{file}"' for key, file in files.items()),
            surface="\n".join(surface),
            top="\n".join(top),
        )
    )
    return product


TM_BANDS = ("1", "2", "3", "4", "5", "6", "7")
ETM_BANDS = ("1", "2", "3", "4", "5", "6_VCID_1", "6_VCID_2", "7", "8")
# Group, then keys and values as in products of TM and ETM+ (USGS LSDS-1414 and LSDS-1618); {} is the product.
TM_METADATA = """GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    ORIGIN = "Image courtesy of the U.S. Geological Survey"
    DIGITAL_OBJECT_IDENTIFIER = "https://doi.org/10.5066/P918ROHC"
    LANDSAT_PRODUCT_ID = "{stem}"
    PROCESSING_LEVEL = "{level}"
    COLLECTION_NUMBER = 02
    COLLECTION_CATEGORY = T1
    OUTPUT_FORMAT = "GEOTIFF"
{files}
    FILE_NAME_ANGLE_COEFFICIENT = "{stem}_ANG.txt"
    FILE_NAME_METADATA_ODL = "{stem}_MTL.txt"
    FILE_NAME_METADATA_XML = "{stem}_MTL.xml"
{types}
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "{spacecraft}"
    SENSOR_ID = "{instrument}"
    WRS_TYPE = 2
    WRS_PATH = 193
    WRS_ROW = 024
    STATION_ID = "MTI"
    DATE_ACQUIRED = 1987-07-05
    SCENE_CENTER_TIME = "09:27:38.5490190Z"
    CLOUD_COVER = 2.00
    IMAGE_QUALITY = 9
    SUN_AZIMUTH = 130.87302912
    SUN_ELEVATION = 55.49010613
    EARTH_SUN_DISTANCE = 1.0167163
    SENSOR_MODE = "SAM"
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = PROJECTION_ATTRIBUTES
    MAP_PROJECTION = "UTM"
    DATUM = "WGS84"
    UTM_ZONE = 32
    GRID_CELL_SIZE_REFLECTIVE = 30.00
    REFLECTIVE_LINES = 40
    REFLECTIVE_SAMPLES = 40
  END_GROUP = PROJECTION_ATTRIBUTES
{level2}
  GROUP = LEVEL1_PROCESSING_RECORD
    LANDSAT_PRODUCT_ID = "LT05_L1TP_193024_19870705_20200917_02_T1"
    PROCESSING_LEVEL = "L1TP"
    FILE_NAME_BAND_1 = "LT05_L1TP_193024_19870705_20200917_02_T1_B1.TIF"
  END_GROUP = LEVEL1_PROCESSING_RECORD
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
{top}
  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
  GROUP = LEVEL1_THERMAL_CONSTANTS
    K1_CONSTANT_BAND_6 = 607.76
    K2_CONSTANT_BAND_6 = 1260.56
  END_GROUP = LEVEL1_THERMAL_CONSTANTS
END_GROUP = LANDSAT_METADATA_FILE
END
"""
TM_LEVEL2 = """  GROUP = LEVEL2_PROCESSING_RECORD
    ALGORITHM_SOURCE_SURFACE_REFLECTANCE = "LEDAPS_3.4.0"
    ALGORITHM_SOURCE_SURFACE_TEMPERATURE = "st_1.3.0"
  END_GROUP = LEVEL2_PROCESSING_RECORD
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
{surface}
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS
    TEMPERATURE_MULT_BAND_ST_B6 = 0.00341802
    TEMPERATURE_ADD_BAND_ST_B6 = 149.0
  END_GROUP = LEVEL2_SURFACE_TEMPERATURE_PARAMETERS"""


def tm_factor(number: str) -> float:
    """Return the factor of the reflectance of a band in the metadata of level 1."""
    return round(1.2377e-3 * (1 + 0.25 * int(number)), 7)


def write_landsat_tm(folder: Path, level="L2SP", instrument="TM") -> Path:
    """Write a product of Landsat 5 TM or 7 ETM+, 40 x 40 pixels of 30 m, the thermal bands resampled to that.

    Level 1 is of bytes; level 2 has the intermediate bands of the surface temperature too.

    Args:
        folder: in which its folder is made.
        level: ``L2SP`` or ``L1TP``.
        instrument: ``TM`` or ``ETM``.

    Returns:
        The product's folder.
    """
    satellite = "LT05" if instrument == "TM" else "LE07"
    stem = f"{satellite}_{level}_193024_19870705_20200917_02_T1"
    product = folder / stem
    product.mkdir(parents=True)
    rng, second = np.random.default_rng(5), level.startswith("L2")
    numbers = TM_BANDS if instrument == "TM" else ETM_BANDS
    reflective = [number for number in numbers if not number.startswith("6")]
    names = {n: f"SR_B{n}" for n in reflective if n != "8"} if second else {n: f"B{n}" for n in numbers}
    names |= {"ST_B6": "ST_B6"} if second else {}
    files = {}
    for number, name in names.items():
        metres, side = (15, 80) if number == "8" else (30, 40)
        values = rng.integers(40, 90, (side, side))
        if second:
            values = 42000 + 20 * values if number == "ST_B6" else 7273 + 40 * values
        files[f"FILE_NAME_BAND_{number}"] = file = f"{stem}_{name}.TIF"
        _write(product / file, values, metres, "uint16" if second else "uint8", driver="GTiff")
    files["FILE_NAME_QUALITY_L1_PIXEL"] = file = f"{stem}_QA_PIXEL.TIF"
    quality = np.full((40, 40), 5440)  # clear, of TM and ETM+
    quality[:, 30:] = 5896  # cloud
    _write(product / file, quality, 30, "uint16", driver="GTiff")
    if second:
        extras = {"ATMOSPHERIC_OPACITY": "SR_ATMOS_OPACITY", "THERMAL_RADIANCE": "ST_TRAD", "EMISSIVITY": "ST_EMIS"}
        for key, name in extras.items():
            files[f"FILE_NAME_{key}"] = file = f"{stem}_{name}.TIF"
            _write(product / file, rng.integers(0, 300, (40, 40)), 30, "int16", driver="GTiff")
    top = [_rescaling("RADIANCE", n, "7.6583E-01", "-2.28583") for n in numbers]
    # the factors of reflectance follow the distance of the sun: other ones in each band and scene
    top += [_rescaling("REFLECTANCE", n, f"{tm_factor(n):.4E}", "-0.003694") for n in reflective]
    surface = [_rescaling("REFLECTANCE", n, "2.75e-05", "-0.2") for n in reflective if n != "8"]
    types = [f'    DATA_TYPE_BAND_{n} = "UINT8"\n    PRESENT_BAND_{n} = "Y"' for n in numbers]
    (product / f"{stem}_MTL.txt").write_text(
        TM_METADATA.format(
            stem=stem,
            level=level,
            spacecraft="LANDSAT_5" if instrument == "TM" else "LANDSAT_7",
            instrument=instrument,
            files="\n".join(f'    {key} = "{file}"' for key, file in files.items()),
            types="\n".join(types),
            level2=TM_LEVEL2.format(surface="\n".join(surface)) if second else "",
            top="\n".join(top),
        )
    )
    return product


def _rescaling(kind: str, number: int | str, factor: str, summand: str) -> str:
    return f"    {kind}_MULT_BAND_{number} = {factor}\n    {kind}_ADD_BAND_{number} = {summand}"


def pack_zip(product: Path) -> Path:
    """Return a zip archive of a product's folder, as the portals serve it."""
    archive = product.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(product.rglob("*")):
            file.write(path, path.relative_to(product.parent))
    return archive


def pack_tar(product: Path) -> Path:
    """Return a tar archive of the files of a product, as the portals serve it."""
    archive = product.with_suffix(".tar")
    with tarfile.open(archive, "w") as file:
        for path in sorted(product.iterdir()):
            file.add(path, path.name)
    return archive


SENTINEL1_MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0">
  <metadataSection>
    <metadataObject ID="acquisitionPeriod"><metadataWrap><xmlData><safe:acquisitionPeriod>
      <safe:startTime>2024-06-01T05:35:12.345678</safe:startTime>
    </safe:acquisitionPeriod></xmlData></metadataWrap></metadataObject>
  </metadataSection>
  <dataObjectSection>
{files}
  </dataObjectSection>
</xfdu:XFDU>
"""
SENTINEL1_SHAPE = (160, 220)


def ground_of_sentinel1(row, column):
    """Return longitude and latitude of pixels of `write_sentinel1`: a slanted grid with the bend of a hill."""
    bend = 6e-4 * np.exp(-((row - 80.0) ** 2 + (column - 110.0) ** 2) / 3000)
    return 9.0 + 1.2e-4 * column - 2e-5 * row + bend, 48.0 - 2e-5 * column - 9e-5 * row


def backscatter(longitude, latitude):
    """Return linear sigma nought of the ground of `write_sentinel1`."""
    return 0.06 + 0.03 * np.sin((longitude - 9) * 600) * np.cos((latitude - 48) * 700)


def factor_of_calibration(row, column):
    """Return A of ``sigma nought = (stored / A) ** 2`` in `write_sentinel1`."""
    return 600.0 - 0.8 * column + 0.1 * row


def write_sentinel1(folder: Path, kind="grd") -> Path:
    """Write a Sentinel-1 product of two polarisations, VH a fifth of VV; the first columns are no data.

    Args:
        folder: in which its folder is made.
        kind: of the product: ``grd`` or another.

    Returns:
        The product's folder.
    """
    product = folder / "S1A_IW_GRDH_1SDV_20240601T053512_20240601T053537_054123_069500_ABCD.SAFE"
    rows, columns = SENTINEL1_SHAPE
    row, column = np.mgrid[:rows, :columns].astype(float)
    sigma = backscatter(*ground_of_sentinel1(row + 0.5, column + 0.5))
    points = [
        GroundControlPoint(r, c, *map(float, ground_of_sentinel1(r, c)), 0.0)
        for r in np.linspace(0, rows, 11)
        for c in np.linspace(0, columns, 16)
    ]
    hrefs = []
    for number, (polarisation, share) in enumerate((("vh", 0.2), ("vv", 1.0)), start=1):
        stem = f"s1a-iw-{kind}-{polarisation}-20240601t053512-20240601t053537-054123-069500-00{number}"
        stored = np.round(np.sqrt(sigma * share) * factor_of_calibration(row, column))
        stored[:, :9] = 0
        measurement = product / "measurement" / f"{stem}.tiff"
        measurement.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            measurement, "w", driver="GTiff", height=rows, width=columns, count=1, dtype="uint16", gcps=points,
            crs="EPSG:4326",
        ) as dataset:  # fmt: skip
            dataset.write(stored.astype("uint16"), 1)
        annotation = product / "annotation" / f"{stem}.xml"
        (annotation.parent / "calibration").mkdir(parents=True, exist_ok=True)
        annotation.write_text(
            "<product><imageAnnotation><imageInformation><rangePixelSpacing>1.0e+01</rangePixelSpacing>"
            f"<numberOfSamples>{columns}</numberOfSamples><numberOfLines>{rows}</numberOfLines>"
            "</imageInformation></imageAnnotation></product>"
        )
        (annotation.parent / "calibration" / f"calibration-{stem}.xml").write_text(_calibration(rows, columns))
        hrefs += [f"./measurement/{stem}.tiff", f"./annotation/{stem}.xml"]
    files = [f'<dataObject><byteStream><fileLocation href="{href}"/></byteStream></dataObject>' for href in hrefs]
    (product / "manifest.safe").write_text(SENTINEL1_MANIFEST.format(files="\n".join(files)))
    return product


def _calibration(rows: int, columns: int) -> str:
    pixels = np.append(np.arange(0, columns - 1, 40), columns - 1)
    vectors = [
        f'<calibrationVector><line>{line}</line><pixel count="{len(pixels)}">{" ".join(map(str, pixels))}</pixel>'
        f"<sigmaNought>{' '.join(f'{value:.6e}' for value in factor_of_calibration(line, pixels))}</sigmaNought>"
        "</calibrationVector>"
        for line in (0, 50, 100, rows - 1)
    ]
    return f"<calibration><calibrationVectorList>{''.join(vectors)}</calibrationVectorList></calibration>"
