"""The units that are known, by what they measure. Rows of one quantity convert to each other."""

# A row a unit: its spelling inside; how many of the first unit it is; other spellings. An offset (`+`) is in the first
# unit too. Spellings are compared without spaces, after Unicode's compatibility forms (℃ is °C, m³ is m3, µ is μ).
TABLE = {
    "temperature": """
        K 1                     kelvin
        degC 1+273.15           °C Cel C celsius degreeC degreesC degreeCelsius degreesCelsius deg.C oC Â°C
        degF 5/9+2298.35/9      °F F fahrenheit degreeF degreesF degreeFahrenheit degreesFahrenheit deg.F oF Â°F [degF]
    """,
    "ratio": """
        1                       1 / ratio EL unity
        % 0.01                  pct percent %RH RH% %rH /100 %EL %vol vol% %VWC
        ppth 1e-3               ‰ permille /1000
        ppm 1e-6                [ppm] partspermillion
        ppb 1e-9                [ppb] partsperbillion
    """,
    "pressure": """
        Pa 1                    pascal pascals
        mPa 1e-3                millipascal
        hPa 100                 hectopascal hectopascals
        kPa 1e3                 kilopascal kilopascals
        MPa 1e6                 megapascal megapascals
        bar 1e5                 bars
        mbar 100                millibar millibars mb
        cbar 1e3                centibar
        psi 4.4482216152605/0.00064516  [psi] lbf/in2
        atm 101325              atmosphere
        mmHg 133.322387415      mm[Hg] m[Hg].mm torr
        inHg 3386.388640341     in[Hg] [in_i'Hg]
        mmH2O 9.80665           mm[H2O] mmWC
        inH2O 249.08891         in[H2O] inWC
    """,
    "power": """
        W 1                     watt watts
        mW 1e-3                 milliwatt milliwatts
        kW 1e3                  kilowatt kilowatts
        MW 1e6                  megawatt megawatts
        GW 1e9                  gigawatt gigawatts
        BTU/h 1055.05585262/3600  [Btu]/h
    """,
    "apparent power": "VA 1  voltampere\n mVA 1e-3\n kVA 1e3\n MVA 1e6",
    "reactive power": "var 1  VAr VAR\n mvar 1e-3\n kvar 1e3  kVAr kVAR\n Mvar 1e6  MVAr",
    "energy": """
        J 1                     joule joules Ws W.s
        kJ 1e3                  kilojoule kilojoules
        MJ 1e6                  megajoule megajoules
        GJ 1e9                  gigajoule gigajoules
        Wh 3600                 W.h watthour watthours watt-hour watt-hours
        mWh 3.6                 mW.h milliwatthour milliwatthours
        kWh 3.6e6               kW.h kilowatthour kilowatthours kilowatt-hour kilowatt-hours
        MWh 3.6e9               MW.h megawatthour megawatthours
        GWh 3.6e12              GW.h
        W.min 60                Wmin W-min wattminute wattminutes watt-minute watt-minutes
        cal 4.184               calorie calories
        kcal 4184               kilocalorie kilocalories
        BTU 1055.05585262       [Btu]
    """,
    "apparent energy": "VAh 1  VA.h\n VAs 1/3600  VA.s\n kVAh 1e3  kVA.h",
    "reactive energy": "varh 1  var.h VArh\n vars 1/3600  var.s\n kvarh 1e3  kvar.h kVArh",
    "voltage": """
        V 1                     volt volts Volt
        uV 1e-6                 μV microvolt microvolts
        mV 1e-3                 millivolt millivolts
        kV 1e3                  kilovolt kilovolts
    """,
    "current": """
        A 1                     amp amps ampere amperes
        uA 1e-6                 μA microamp microamps microampere
        mA 1e-3                 milliamp milliamps milliampere
        kA 1e3                  kiloampere
    """,
    "charge": "coulomb 1\n Ah 3600  A.h amperehour amp-hour\n mAh 3.6  mA.h milliamperehour",
    "resistance": "Ohm 1  Ω ohms\n mOhm 1e-3  mΩ\n kOhm 1e3  kΩ\n MOhm 1e6  MΩ",
    "conductance": "S 1  siemens",
    "conductivity": """
        S/m 1
        uS/cm 1e-4              μS/cm
        mS/cm 0.1
        dS/m 0.1
        S/cm 100
        uS/m 1e-6               μS/m
        mS/m 1e-3
    """,
    "frequency": """
        Hz 1                    hertz 1/s /s
        kHz 1e3                 kilohertz
        MHz 1e6                 megahertz
        GHz 1e9                 gigahertz
        1/min 1/60              rpm r/min rev/min /min bpm beat/min beats/min
    """,
    "time": """
        s 1                     sec secs second seconds
        us 1e-6                 μs microsecond microseconds
        ms 1e-3                 msec millisecond milliseconds
        min 60                  mins minute minutes
        h 3600                  hr hrs hour hours
        d 86400                 day days
        wk 604800               week weeks
    """,
    "length": """
        m 1                     meter meters metre metres
        um 1e-6                 μm micrometer micrometre micron microns
        mm 1e-3                 millimeter millimeters millimetre millimetres
        cm 0.01                 centimeter centimeters centimetre centimetres
        dm 0.1                  decimeter decimetre
        km 1e3                  kilometer kilometers kilometre kilometres
        in 0.0254               inch inches [in_i] "
        ft 0.3048               foot feet [ft_i]
        yd 0.9144               yard yards [yd_i]
        mi 1609.344             mile miles [mi_i]
        nmi 1852                [nmi_i] nauticalmile nauticalmiles
    """,
    "speed": """
        m/s 1                   mps
        mm/s 1e-3
        cm/s 0.01
        km/h 1/3.6              kmh kmph kph
        mi/h 0.44704            mph [mi_i]/h
        kn 1852/3600            kt kts knot knots [kn_i]
        ft/s 0.3048             fps
        m/h 1/3600
        mm/h 0.001/3600         mm/hr
        in/h 0.0254/3600        in/hr
        mm/d 0.001/86400        mm/day
        in/d 0.0254/86400       in/day
    """,
    "acceleration": "m/s2 1  m/s/s\n mgn 0.00980665  milli-g\n gn 9.80665  g-force [g]",
    "angle": """
        deg 1                   ° degree degrees lat lon
        rad 180/3.14159265358979323846264338327950288  radian radians
    """,
    "area": "m2 1  sqm\n cm2 1e-4\n km2 1e6\n ha 1e4  hectare\n ft2 0.09290304  sqft",
    "volume": """
        L 1                     l liter liters litre litres
        mL 1e-3                 ml milliliter milliliters millilitre millilitres
        m3 1000                 cubicmeter cubicmeters cubicmetre cubicmetres cbm
        ft3 28.316846592        cft cubicfoot cubicfeet
        gal 3.785411784         gallon gallons
    """,
    "flow": """
        L/s 1                   l/s
        L/min 1/60              l/min lpm
        L/h 1/3600              l/h
        mL/s 1e-3               ml/s
        mL/min 0.001/60         ml/min
        m3/s 1000
        m3/min 1000/60
        m3/h 1000/3600          m3/hr cbm/h
        ft3/min 28.316846592/60  cfm
        gal/min 3.785411784/60  gpm
        gal/h 3.785411784/3600  gph
    """,
    "mass": """
        g 1                     gram grams
        ug 1e-6                 μg microgram micrograms
        mg 1e-3                 milligram milligrams
        kg 1e3                  kilogram kilograms
        t 1e6                   tonne tonnes
        oz 28.349523125         ounce ounces
        lb 453.59237            lbs pound pounds
    """,
    "concentration": """
        g/m3 1                  mg/L mg/l
        mg/m3 1e-3              ug/L μg/L ug/l μg/l
        ug/m3 1e-6              μg/m3
        kg/m3 1e3               g/L g/l
    """,
    "illuminance": "lx 1  lux\n klx 1e3  klux",
    "irradiance": "W/m2 1\n mW/m2 1e-3\n uW/cm2 0.01  μW/cm2\n mW/cm2 10",
    "radiation": "Sv/h 1\n mSv/h 1e-3\n uSv/h 1e-6  μSv/h\n nSv/h 1e-9",
    "radioactivity": "Bq/m3 1\n pCi/L 37  pCi/l",
    "sound level": "dBA 1  dB(A)",
    "level": "dB 1  decibel",
    "signal strength": "dBm 1\n dBW 1+30",
    "force": "N 1  newton newtons\n kN 1e3",
    "torque": "N.m 1  Nm",
    "acidity": "pH 1",
    "turbidity": "NTU 1  [NTU]\n mNTU 1e-3",
    "number": "count 1  counts pcs pulses",
    "data": """
        B 1                     byte bytes
        kB 1e3                  KB
        MB 1e6
        GB 1e9
        KiB 1024                kibibyte
        MiB 1048576
        GiB 1073741824
        bit 1/8                 bits
        kbit 125
        Mbit 125e3
    """,
    "data rate": """
        B/s 1
        kB/s 1e3                KB/s
        MB/s 1e6
        bit/s 1/8               bps
        kbit/s 125              kbps
        Mbit/s 125e3            Mbps
    """,
}
